/**
 * What is known of a job beyond the stored request: its tries, and in the end its result. One document a job,
 * of which the last one counts. A first try that succeeds writes one document, at its end. A failed
 * try writes one before the job is given back, so that the count of tries survives any pod.
 */
import { MessageError } from '../runtime/errors.ts';
import type { RawHeaders } from '../relay/types.ts';
import { isTime } from './check-head.ts';

export interface Try {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly pod: string;
  /** The function's status; undefined when it gave none. */
  readonly status?: number;
  /** Why the try failed, in words; undefined for a good one. */
  readonly error?: string;
}

export interface JobResult {
  readonly status: number;
  readonly headers: RawHeaders;
  /** Base64; the first 64 KiB. */
  readonly body: string;
  readonly bodyTruncated: boolean;
}

/** Who has a job of a function whose jobs are in strict order. */
export interface RunningAt {
  readonly pod: string;
  /** The sidecar's admin server. */
  readonly host: string;
  readonly port: number;
  readonly startedAtMs: number;
}

interface StateBase {
  readonly secret: string;
  readonly acceptedAtMs: number;
  readonly tries: readonly Try[];
  /** Times the function was given the job and no outcome is known: pods that died under it. */
  readonly lost?: number;
}

export type JobState =
  | (StateBase & { readonly state: 'retrying'; readonly nextTryAtMs: number })
  /**
   * Written before a job is begun only where it matters: it keeps coming back without an outcome, or its function's jobs
   * are in strict order. `run` says who runs it.
   */
  | (StateBase & { readonly state: 'running'; readonly run?: RunningAt })
  /** The function answered 202 and has not called back. */
  | (StateBase & { readonly state: 'waiting-for-callback'; readonly deadlineMs: number })
  | (StateBase & { readonly state: 'done'; readonly result: JobResult | undefined })
  | (StateBase & { readonly state: 'dead'; readonly why: string })
  | (StateBase & { readonly state: 'cancelled' });

export function encodeState(state: JobState): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(state));
}

/**
 * Whether an encoded state is an end, without parsing up to 90 KB of result. Inside a JSON string the quotes would be
 * escaped, and no inner object has a key of that name.
 */
export function isFinalState(data: Uint8Array): boolean {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return ENDS.some((end) => text.includes(end));
}

const ENDS = ['done', 'dead', 'cancelled'].map((state) => Buffer.from(`"state":"${state}"`));

/**
 * Only fields that are known and fit. What was read is shown to callers, and anybody with access to NATS may have
 * written it. @throws MessageError
 */
export function decodeState(data: Uint8Array): JobState {
  let value: Fields | null;
  try {
    value = JSON.parse(new TextDecoder().decode(data)) as Fields | null;
  } catch (cause) {
    throw new MessageError('job state is not JSON', { cause });
  }
  const { secret, acceptedAtMs, tries, lost } = value ?? {};
  if (typeof secret !== 'string' || !isTime(acceptedAtMs) || !Array.isArray(tries))
    throw new MessageError('job state lacks secret, acceptedAtMs or tries');
  const base = {
    secret,
    acceptedAtMs,
    tries: tries.map(tryOf),
    ...(typeof lost === 'number' ? { lost } : {}),
  };
  return withState(base, value ?? {});
}

type Fields = Readonly<Record<string, unknown>>;

function withState(base: StateBase, { state, nextTryAtMs, deadlineMs, why, result, run }: Fields): JobState {
  if (state === 'retrying' && isTime(nextTryAtMs)) return { ...base, state, nextTryAtMs };
  if (state === 'running') return { ...base, state, ...(run === undefined ? {} : { run: runOf(run) }) };
  if (state === 'waiting-for-callback' && isTime(deadlineMs)) return { ...base, state, deadlineMs };
  if (state === 'done')
    return { ...base, state, result: result === undefined ? undefined : resultOf(result) };
  if (state === 'dead' && typeof why === 'string') return { ...base, state, why };
  if (state === 'cancelled') return { ...base, state };
  throw new MessageError('job state lacks a known state, or what belongs to it');
}

export function tryOf(value: unknown): Try {
  const { startedAtMs, endedAtMs, pod, status, error } = (value ?? {}) as Fields;
  if (!isTime(startedAtMs) || !isTime(endedAtMs) || typeof pod !== 'string')
    throw new MessageError('a try lacks startedAtMs, endedAtMs or pod');
  return {
    startedAtMs,
    endedAtMs,
    pod,
    ...(typeof status === 'number' ? { status } : {}),
    ...(typeof error === 'string' ? { error } : {}),
  };
}

function resultOf(value: unknown): JobResult {
  const { status, headers, body, bodyTruncated } = (value ?? {}) as Fields;
  const isWhole = typeof status === 'number' && typeof body === 'string' && Array.isArray(headers);
  if (!isWhole || !headers.every((item) => typeof item === 'string'))
    throw new MessageError('a result lacks status, headers or body');
  return { status, headers, body, bodyTruncated: bodyTruncated === true };
}

function runOf(value: unknown): RunningAt {
  const { pod, host, port, startedAtMs } = (value ?? {}) as Fields;
  if (typeof pod !== 'string' || typeof host !== 'string' || typeof port !== 'number' || !isTime(startedAtMs))
    throw new MessageError('a run lacks pod, host, port or startedAtMs');
  return { pod, host, port, startedAtMs };
}
