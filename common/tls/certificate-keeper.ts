/**
 * Keeps the certificate in force: checks its source at start and then periodically until it is stopped, and hands over
 * each one that is new. A check that fails is repeated soon, with backoff, and what is served stays served.
 */
import { createBackoff } from '../runtime/backoff.ts';
import { describeError } from '../runtime/errors.ts';
import { sleep, type Running } from '../runtime/lifecycle.ts';
import type { Log } from '../runtime/log.ts';
import type { CertificateSource, KeyPair } from './key-pair.ts';

export interface CertificateKeeperOptions {
  readonly source: CertificateSource;
  readonly checkMs: number;
  readonly log: Log;
  /** Awaited before the next check; called for the first certificate and for each that differs. */
  readonly onCertificate: (pair: KeyPair) => unknown;
}

export function keepCertificate(options: CertificateKeeperOptions): Running {
  const stopping = new AbortController();
  const loop = checkForever(options, stopping.signal);
  return {
    async stop() {
      stopping.abort();
      // A check that hangs on a dead API server is left behind: it changes nothing any more.
      await Promise.race([loop, sleep(1_000)]);
    },
  };
}

async function checkForever(options: CertificateKeeperOptions, signal: AbortSignal): Promise<void> {
  const { source, checkMs, log, onCertificate } = options;
  // A replica that starts before its configuration or the API server is there is ready half a second after.
  const backoff = createBackoff({ minMs: Math.min(250, checkMs), maxMs: Math.max(checkMs, 250) });
  let served: string | undefined;
  while (!signal.aborted) {
    let waitMs = checkMs;
    try {
      const pair = await source.check();
      if (pair.certificate !== served && !signal.aborted) {
        await onCertificate(pair);
        served = pair.certificate;
      }
      backoff.reset();
    } catch (error) {
      waitMs = backoff.next();
      log.warn({ error: describeError(error), retryInMs: Math.round(waitMs) }, 'certificate check failed');
    }
    await sleep(waitMs, signal);
  }
}
