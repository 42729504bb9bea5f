/**
 * One scrape of one pod, into the store piece by piece as it arrives, so that an answer costs no memory of its own.
 * What is scraped is a tenant's. Redirects are refused, and bytes and samples are bounded. Every series is stamped
 * with the pod's own namespace, function and name. Metrics whose names are the system's are taken from the system
 * only.
 */
import { labelsOf, type Labels } from '../promql/labels.ts';
import type { Intake } from '../promql/store/series.ts';
import { TextReader } from '../promql/store/text-format.ts';
import type { ScrapeTarget } from './scrape-targets.ts';

/** Bounds of one answer. Samples are those that some query wants. */
export const SCRAPE_LIMITS = { bytes: 8 * 1024 * 1024, samples: 10_000, timeoutMs: 2_000 } as const;

export type ScrapeRefusal =
  'bytes' | 'samples' | 'redirect' | 'status' | 'timeout' | 'unreachable' | 'budget';

export class ScrapeError extends Error {
  readonly reason: ScrapeRefusal;

  constructor(reason: ScrapeRefusal, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ScrapeError';
    this.reason = reason;
  }
}

export interface ScrapeOptions {
  readonly fetch: typeof fetch;
  readonly wantsName: (name: string) => boolean;
  readonly intake: Intake;
  /** Called with the size of each piece; may throw to end the scrape. */
  readonly onBytes: (bytes: number) => void;
}

/** Labels that say whose a series is. */
const RESERVED: ReadonlySet<string> = new Set(['namespace', 'function', 'pod', 'instance']);
/** Our own proxies speak of all functions, and are believed. */
const RESERVED_IN_OWN: ReadonlySet<string> = new Set(['pod', 'instance']);

/** @throws ScrapeError */
export async function scrapeOne(target: ScrapeTarget, options: ScrapeOptions): Promise<void> {
  const { intake } = options;
  let samples = 0;
  const reader = new TextReader(readingOf(target, options.wantsName), (labels, value) => {
    samples += 1;
    if (samples > SCRAPE_LIMITS.samples)
      throw new ScrapeError('samples', `more than ${SCRAPE_LIMITS.samples} samples that queries want`);
    intake.add(labels, value);
  });
  try {
    for await (const text of textOf(target, options)) reader.push(text);
    reader.end();
  } catch (error) {
    throw asScrapeError(error);
  }
  intake.end();
}

function readingOf({ url, labels, kind }: ScrapeTarget, wantsName: (name: string) => boolean) {
  const stamp = { ...labels, instance: new URL(url).host };
  const targetLabels: Labels = labelsOf(
    kind === 'system' ? { pod: stamp.pod ?? '', instance: stamp.instance } : stamp,
  );
  return {
    targetLabels,
    reserved: kind === 'system' ? RESERVED_IN_OWN : RESERVED,
    wantsName: (name: string) => mayName(kind, name) && wantsName(name),
  };
}

/** `slimfaas_…` is what we say; of a pod only its sidecar may say something of ours. */
function mayName(kind: ScrapeTarget['kind'], name: string): boolean {
  if (kind === 'system' || !name.startsWith('slimfaas_')) return true;
  return kind === 'sidecar' && name.startsWith('slimfaas_sidecar_');
}

async function* textOf(
  { url, headers }: ScrapeTarget,
  { fetch: get, onBytes }: ScrapeOptions,
): AsyncGenerator<string> {
  // A redirect would lead to wherever the pod says, with our network's rights.
  const response = await get(url, {
    redirect: 'manual',
    // Closed at once: a sidecar would take an open connection for somebody who uses the app (sidecar/direct).
    headers: { accept: 'text/plain', 'accept-encoding': 'identity', connection: 'close', ...headers },
    signal: AbortSignal.timeout(SCRAPE_LIMITS.timeoutMs),
  });
  try {
    const { status } = response;
    if (status >= 300 && status < 400)
      throw new ScrapeError('redirect', `redirect (status ${status}) refused`);
    if (status !== 200) throw new ScrapeError('status', `status ${status}`);
    const decoder = new TextDecoder();
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength;
      if (size > SCRAPE_LIMITS.bytes)
        throw new ScrapeError('bytes', `more than ${SCRAPE_LIMITS.bytes} bytes`);
      onBytes(chunk.byteLength);
      yield decoder.decode(chunk, { stream: true });
    }
  } catch (error) {
    await response.body?.cancel().catch(() => {});
    throw error;
  }
}

function asScrapeError(error: unknown): ScrapeError {
  if (error instanceof ScrapeError) return error;
  const isTimeout = error instanceof Error && error.name === 'TimeoutError';
  if (isTimeout) return new ScrapeError('timeout', `no answer within ${SCRAPE_LIMITS.timeoutMs} ms`, error);
  return new ScrapeError('unreachable', 'no connection', error);
}
