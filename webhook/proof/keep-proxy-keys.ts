/**
 * Keeps the Secret with the keys of proxies, shared by the replicas as certificates are: whoever comes first writes.
 * Proxies read it by name; nobody else has to.
 */
import { createBackoff } from '../../common/runtime/backoff.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { sleep, type Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { KubeClients } from '../../common/kube/client.ts';
import type { WebhookFlagValues } from '../flags.ts';
import type { InjectedProof } from '../inject/identity.ts';
import { retryStale, secretStore, type SecretStore } from '../kube.ts';
import { keyForPods, malformed, nextData, WISH, withKnown, type ProxyKeysPolicy } from './proxy-keys.ts';

/** Twice the time in which proxies read the Secret again. */
const KEY_SETTLE_MS = 60_000;

export interface ProxyKeysDeps {
  readonly store: SecretStore;
  readonly policy: ProxyKeysPolicy;
  readonly now: () => number;
  readonly log: Log;
}

interface KeptKeys {
  /** What is in the Secret. */
  readonly data: Readonly<Record<string, string>>;
  /** What tells the Secret that was read from one that is made again; undefined: there was none. */
  readonly uid: string | undefined;
  /** What pods are given now. */
  readonly key: string;
}

/**
 * Brings the Secret up to date. A malformed entry is left out, and the log names it: pods that are made have a key anyhow.
 * @param known what was found before. If somebody has deleted the Secret since, pods that run still know its keys. Another
 *   replica may have made it again, with the keys that it knew itself. Entries that somebody takes out stay out
 */
export async function checkProxyKeys(
  { store, policy, now, log }: ProxyKeysDeps,
  known?: KeptKeys,
): Promise<KeptKeys> {
  return retryStale(async () => {
    const { version, uid, data: found } = await store.readSecret();
    for (const error of malformed(found)) log.error({ error }, 'keys of proxies: an entry is left out');
    const isAnother = version === undefined || uid !== known?.uid;
    const data = isAnother ? withKnown(found, known?.data ?? {}) : found;
    const wanted = version === undefined ? { ...data, [WISH]: '' } : data;
    const made = nextData(wanted, policy, now());
    const kept = made ?? data;
    if (kept !== found) await store.writeSecret(kept, version);
    if (made) log.info({ keys: Object.keys(made).length }, 'a new key for proofs of proxies');
    return { data: kept, uid, key: keyForPods(kept, policy, now()) as string };
  }, log);
}

export interface ProxyKeys extends Running {
  /** What pods are given; undefined until there is a key. */
  readonly injected: InjectedProof | undefined;
}

/** Starts, and tries forever. @returns undefined where pods ask proxies for no proof */
export function keepProxyKeys(
  config: WebhookFlagValues,
  deps: { readonly log: Log; readonly kube: KubeClients; readonly now?: () => number },
): ProxyKeys | undefined {
  const mode = config['proxy-proof'];
  if (mode !== 'permissive' && mode !== 'required') return undefined;
  const { log, kube, now = Date.now } = deps;
  const { namespace, 'proxy-keys-secret': name } = config;
  const store = secretStore(kube, { namespace, name, type: 'Opaque' });
  const policy = { days: config['proxy-key-days'], settleMs: KEY_SETTLE_MS };
  const stopping = new AbortController();
  let kept: KeptKeys | undefined;
  const checkMs = config['certificate-check-seconds'] * 1_000;
  const check = async (): Promise<void> => {
    kept = await checkProxyKeys({ store, policy, now, log }, kept);
  };
  void repeat(check, checkMs, log, stopping.signal);
  return {
    get injected() {
      return kept && ({ mode, publicKeys: [kept.key] } as const);
    },
    async stop() {
      stopping.abort();
    },
  };
}

async function repeat(check: () => Promise<void>, eachMs: number, log: Log, signal: AbortSignal) {
  const backoff = createBackoff({ minMs: Math.min(250, eachMs), maxMs: Math.max(eachMs, 250) });
  while (!signal.aborted) {
    let waitMs = eachMs;
    try {
      await check();
      backoff.reset();
    } catch (error) {
      waitMs = backoff.next();
      log.warn(
        { error: describeError(error), retryInMs: Math.round(waitMs) },
        'check of proxies’ keys failed',
      );
    }
    await sleep(waitMs, signal);
  }
}
