/**
 * The keys of our proofs, from the Secret that the webhook keeps. They are read at the start, each half a minute, and when
 * a pod asks for one that is not there. What cannot be read leaves the keys as they are.
 */
import type { KubeClients, V1Secret } from '../../common/kube/client.ts';
import { within } from '../../common/kube/within.ts';
import { readSeed, type Nkey } from '../../common/identity/nkey.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { FlagTable, FlagValues } from '../../common/runtime/flags.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Prover } from './prover.ts';

export const proofFlags = {
  'proxy-keys-secret': {
    type: 'string',
    default: '',
    group: 'Identity',
    describe:
      'Secret of our namespace with the keys by which sidecars know proxies; empty: they are asked for none',
  },
} as const satisfies FlagTable;

const READ_EACH_MS = 30_000;
/** At most that often, when pods ask for a key that is not there. */
const READ_SOON_MS = 1_000;
/** The start waits for it: an API server that is slow must not hold up a proxy. */
const FIRST_READ_MS = 2_000;

/** One request that never ends must not be the last one. */
const READ_LIMIT_MS = 10_000;

/** Where the Secret is. */
type SecretPlace = FlagValues<typeof proofFlags> & { readonly namespace: string };

export interface ProofKeysDeps {
  readonly kube: Pick<KubeClients, 'core'>;
  readonly prover: Prover;
  readonly log: Log;
  /** For one read. */
  readonly readLimitMs?: number;
}

/** Resolves when the Secret was read once, or soon. @returns its release */
export async function followProofKeys(place: SecretPlace, deps: ProofKeysDeps): Promise<() => void> {
  if (place['proxy-keys-secret'] === '') return () => undefined;
  const stopping = new AbortController();
  const firstRead = Promise.withResolvers<void>();
  void follow(place, deps, stopping.signal, firstRead.resolve);
  await Promise.race([firstRead.promise, sleep(FIRST_READ_MS, stopping.signal)]);
  return () => stopping.abort();
}

async function follow(
  { 'proxy-keys-secret': name, namespace }: SecretPlace,
  { kube, prover, log, readLimitMs = READ_LIMIT_MS }: ProofKeysDeps,
  signal: AbortSignal,
  onRead: () => void,
): Promise<void> {
  const inTime = within(readLimitMs);
  while (!signal.aborted) {
    const asked = new AbortController();
    prover.onUnknownKey = () => asked.abort();
    try {
      prover.addKeys(keysIn(await kube.core.readNamespacedSecret({ name, namespace }, inTime), log));
    } catch (error) {
      const facts = { secret: name, error: describeError(error) };
      // Where pods ask for no proof nobody makes one; where they do, the calls say what is missing.
      if ((error as { code?: unknown }).code === 404) log.debug(facts, 'keys of proofs: there are none');
      else log.warn(facts, 'keys of proofs: not read');
    }
    onRead();
    await sleep(READ_SOON_MS, signal);
    await sleep(READ_EACH_MS - READ_SOON_MS, AbortSignal.any([signal, asked.signal]));
  }
}

function keysIn({ data = {} }: V1Secret, log: Log): Nkey[] {
  return Object.entries(data).flatMap(([entry, text]) => {
    if (!entry.endsWith('.nk')) return [];
    try {
      return [readSeed('user', Buffer.from(text, 'base64').toString())];
    } catch (error) {
      log.error({ entry, error: describeError(error) }, 'keys of proofs: an entry is left out');
      return [];
    }
  });
}
