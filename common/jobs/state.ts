/**
 * What is known of a job beyond the stored request: its tries, and in the end its result. One document a job
 * on stream SLIMFAAS_RESULTS, the last one counts. A first try that succeeds writes one document, at its end;
 * a failed try writes one before the job is given back, so that the count of tries survives any pod.
 */
import { MessageError } from '../errors.ts';
import type { RawHeaders } from '../relay/types.ts';

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

interface StateBase {
  readonly secret: string;
  readonly acceptedAtMs: number;
  readonly tries: readonly Try[];
  /** Times the function was given the job and no outcome is known: pods that died under it. */
  readonly lost?: number;
}

export type JobState =
  | (StateBase & { readonly state: 'retrying'; readonly nextTryAtMs: number })
  /** Written only for a job that keeps coming back without an outcome, before it is begun once more. */
  | (StateBase & { readonly state: 'running' })
  /** The function answered 202 and has not called back. */
  | (StateBase & { readonly state: 'waiting-for-callback'; readonly deadlineMs: number })
  | (StateBase & { readonly state: 'done'; readonly result: JobResult | undefined })
  | (StateBase & { readonly state: 'dead'; readonly why: string })
  | (StateBase & { readonly state: 'cancelled' });

export function encodeState(state: JobState): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(state));
}

/**
 * Whether an encoded state is an end, without parsing up to 90 KB of result: inside a JSON string the quotes would be
 * escaped, and no inner object has a key of that name.
 */
export function isFinalState(data: Uint8Array): boolean {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return ENDS.some((end) => text.includes(end));
}

const ENDS = ['done', 'dead', 'cancelled'].map((state) => Buffer.from(`"state":"${state}"`));

/** @throws MessageError */
export function decodeState(data: Uint8Array): JobState {
  let value: Partial<JobState> | null;
  try {
    value = JSON.parse(new TextDecoder().decode(data)) as Partial<JobState> | null;
  } catch (cause) {
    throw new MessageError('job state is not JSON', { cause });
  }
  const isState =
    typeof value === 'object' &&
    value !== null &&
    typeof value.secret === 'string' &&
    Array.isArray(value.tries) &&
    ['retrying', 'running', 'waiting-for-callback', 'done', 'dead', 'cancelled'].includes(value.state ?? '');
  if (!isState) throw new MessageError('job state lacks secret, tries or a known state');
  return value as JobState;
}
