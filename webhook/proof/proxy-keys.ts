/**
 * The keys by which sidecars know proxies, as they lie in their Secret: one entry for each, named by when it was made.
 * A new one is added, and the old ones stay: a pod knows the key that was given to it when it was made. Pure except for
 * the randomness.
 *
 * Room `webhook/proof`: The keys by which sidecars know proxies.
 * Comes in: a Secret.
 * Goes out: public keys for new pods.
 */
import { createNkey, readSeed } from '../../common/identity/nkey.ts';

/** Pods with a key that is gone take no calls: at 90 days for each, these are four years. */
const MOST_KEYS = 16;
/** An operator puts this entry into the Secret to have a new key. */
export const WISH = 'rotate';
const ENTRY = /^key-(\d{1,15})\.nk$/;
const DAY_MS = 86_400_000;

type Data = Readonly<Record<string, string>>;

export interface ProxyKeysPolicy {
  /** A new key is made when the newest is so old. */
  readonly days: number;
  /** A key is given to pods when proxies have had the time to read it. */
  readonly settleMs: number;
}

interface MadeKey {
  readonly entry: string;
  readonly madeMs: number;
  readonly publicKey: string;
}

/**
 * What the Secret should hold now. A malformed entry counts as none, and goes when the next key is made.
 * @returns undefined: it does
 */
export function nextData(data: Data, { days }: ProxyKeysPolicy, nowMs: number): Data | undefined {
  const keys = keysOf(data);
  const newest = keys.at(-1);
  const isDue = newest === undefined || WISH in data || nowMs - newest.madeMs >= days * DAY_MS;
  if (!isDue) return undefined;
  const kept = keys.slice(-(MOST_KEYS - 1)).map(({ entry }) => [entry, data[entry] as string] as const);
  return { ...Object.fromEntries(kept), [`key-${nowMs}.nk`]: createNkey('user').seed };
}

/** The one that pods are given now: the newest that proxies know by now. @returns undefined without any */
export function keyForPods(data: Data, { settleMs }: ProxyKeysPolicy, nowMs: number): string | undefined {
  const keys = keysOf(data);
  const settled = keys.filter(({ madeMs }) => nowMs - madeMs >= settleMs);
  return (settled.at(-1) ?? keys[0])?.publicKey;
}

/**
 * What to go on from when the Secret was deleted, and another replica may have made it again: pods still know the keys that
 * it had. They come back.
 */
export function withKnown(data: Data, known: Data): Data {
  const lacking = keysOf(known).filter(({ entry }) => !(entry in data));
  if (lacking.length === 0) return data;
  const all = { ...data, ...Object.fromEntries(lacking.map(({ entry }) => [entry, known[entry] as string])) };
  const kept = new Set(
    keysOf(all)
      .slice(-MOST_KEYS)
      .map(({ entry }) => entry),
  );
  return Object.fromEntries(Object.entries(all).filter(([entry]) => !ENTRY.test(entry) || kept.has(entry)));
}

/** Entries that look like keys and are none: `key-1.nk: not a key`. */
export function malformed(data: Data): string[] {
  return Object.entries(data).flatMap(([entry, seed]) => {
    const read = ENTRY.test(entry) ? readKey(seed) : undefined;
    return typeof read === 'object' ? [`${entry}: ${read.why}`] : [];
  });
}

/** Oldest first. */
function keysOf(data: Data): MadeKey[] {
  const entries = Object.entries(data).flatMap(([entry, seed]) => {
    const madeMs = Number(ENTRY.exec(entry)?.[1] ?? NaN);
    const publicKey = Number.isNaN(madeMs) ? undefined : readKey(seed);
    return typeof publicKey === 'string' ? [{ entry, madeMs, publicKey }] : [];
  });
  return entries.toSorted((a, b) => a.madeMs - b.madeMs);
}

/** @returns the public key, or why there is none */
function readKey(seed: string): string | { readonly why: string } {
  try {
    return readSeed('user', seed).publicKey;
  } catch (cause) {
    return { why: cause instanceof Error ? cause.message : String(cause) };
  }
}
