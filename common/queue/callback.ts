/** A result on its way to the URL that its job was given: from the sidecar that ended the job to the proxies. */
import { MessageError } from '../runtime/errors.ts';
import { decodeState, encodeState, type JobState } from './state.ts';

export type EndedState = JobState & { readonly state: 'done' | 'dead' };

export interface ResultCallback {
  readonly url: string;
  readonly elementId: string;
  readonly endedAtMs: number;
  readonly state: EndedState;
}

export function encodeCallback({ state, ...rest }: ResultCallback): Uint8Array {
  return Buffer.from(JSON.stringify({ ...rest, state: Buffer.from(encodeState(state)).toString() }));
}

/** @throws MessageError */
export function decodeCallback(data: Uint8Array): ResultCallback {
  let value: Record<keyof ResultCallback, unknown> | null;
  try {
    value = JSON.parse(Buffer.from(data).toString()) as typeof value;
  } catch (cause) {
    throw new MessageError('callback is not JSON', { cause });
  }
  const { url, elementId, endedAtMs, state: text } = value ?? {};
  const isComplete =
    typeof url === 'string' && typeof elementId === 'string' && typeof endedAtMs === 'number';
  if (!isComplete || typeof text !== 'string')
    throw new MessageError('callback lacks url, elementId, endedAtMs or state');
  const state = decodeState(Buffer.from(text));
  if (state.state !== 'done' && state.state !== 'dead')
    throw new MessageError(`callback of a job that is ${state.state}`);
  return { url, elementId, endedAtMs, state };
}
