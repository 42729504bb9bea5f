/**
 * `--prometheus-url`: the query goes to a real Prometheus (or what speaks its API) instead of our evaluator.
 * An answer that is no number is no data; anything that goes wrong is a PromqlError `remote`, which the caller
 * shows and takes for no data too.
 */
import { PromqlError } from './error.ts';
import { labelsOf } from './labels.ts';
import type { Sample, Value } from './values.ts';

export interface RemotePrometheus {
  query(text: string, atMs: number, signal?: AbortSignal): Promise<Value>;
}

export interface RemoteOptions {
  /** Where the API begins; `/api/v1/query` is added. */
  readonly url: string;
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** A trigger needs one number; an answer of many megabytes is a mistake in the query. */
const MAX_REMOTE_ANSWER_BYTES = 4 * 1024 * 1024;
/** Characters of its own words that are told. */
const MAX_REMOTE_WORDS = 200;

export function createRemotePrometheus(options: RemoteOptions): RemotePrometheus {
  const url = new URL('api/v1/query', options.url.endsWith('/') ? options.url : `${options.url}/`);
  const send = options.fetch ?? fetch;
  return {
    async query(text, atMs, signal) {
      const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
      try {
        // POST, because a query may be longer than a URL may be.
        const response = await send(url, {
          method: 'POST',
          body: new URLSearchParams({ query: text, time: String(atMs / 1_000) }),
          signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        });
        return readAnswer(response.status, await readBounded(response));
      } catch (cause) {
        if (cause instanceof PromqlError) throw cause;
        throw new PromqlError('remote', `no answer from ${url.origin}`, { cause });
      }
    },
  };
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, size] = ['', 0];
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_REMOTE_ANSWER_BYTES)
      throw new PromqlError('remote', `an answer above ${MAX_REMOTE_ANSWER_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

interface Answer {
  readonly status?: unknown;
  readonly error?: unknown;
  readonly data?: { readonly resultType?: unknown; readonly result?: unknown };
}

function readAnswer(status: number, text: string): Value {
  let answer: Answer | null;
  try {
    answer = JSON.parse(text) as Answer | null;
  } catch (cause) {
    throw new PromqlError('remote', `status ${status} without JSON`, { cause });
  }
  if (answer?.status !== 'success') {
    throw new PromqlError('remote', `status ${status}: ${wordsOf(answer?.error, 'no success')}`);
  }
  const { resultType, result } = answer.data ?? {};
  if (resultType === 'scalar') return { type: 'scalar', value: pointValue(result) };
  if (resultType === 'vector' && Array.isArray(result))
    return { type: 'vector', samples: result.map(readSample) };
  throw new PromqlError('remote', `a result of type ${wordsOf(resultType, 'none')} is no number`);
}

function wordsOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value.slice(0, MAX_REMOTE_WORDS) : otherwise;
}

function readSample(item: unknown): Sample {
  const { metric, value } = (item ?? {}) as { metric?: Record<string, string>; value?: unknown };
  return { labels: labelsOf(metric ?? {}), value: pointValue(value) };
}

/** `[seconds, "1.5"]`; the number is a string, which may be "NaN" or "+Inf". */
function pointValue(point: unknown): number {
  const text: unknown = Array.isArray(point) ? point[1] : undefined;
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text ?? Number.NaN);
}
