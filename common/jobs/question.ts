/**
 * What a proxy asks the sidecars of a function about one job, over core NATS. Only the sidecar that holds the
 * job answers; silence means that nobody holds it.
 */
import { MessageError } from '../errors.ts';

export type JobQuestion =
  | { readonly kind: 'where'; readonly elementId: string }
  | { readonly kind: 'callback'; readonly elementId: string; readonly outcome: 'success' | 'error' };

/** `closed`: the callback was taken. `running`: the function has not answered yet, so it cannot call back. */
export type JobAnswer = 'running' | 'waiting-for-callback' | 'closed';

export function encodeQuestion(question: JobQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(question));
}

/** @throws MessageError */
export function decodeQuestion(data: Uint8Array): JobQuestion {
  let value: Partial<JobQuestion> | null;
  try {
    value = JSON.parse(new TextDecoder().decode(data)) as Partial<JobQuestion> | null;
  } catch (cause) {
    throw new MessageError('question is not JSON', { cause });
  }
  const isWhere = value?.kind === 'where';
  const isCallback = value?.kind === 'callback' && (value.outcome === 'success' || value.outcome === 'error');
  if (!(isWhere || isCallback) || typeof value?.elementId !== 'string') {
    throw new MessageError('question lacks a known kind, an elementId or an outcome');
  }
  return value as JobQuestion;
}

export function encodeAnswer(answer: JobAnswer): Uint8Array {
  return new TextEncoder().encode(answer);
}

/** @throws MessageError */
export function decodeAnswer(data: Uint8Array): JobAnswer {
  const text = new TextDecoder().decode(data);
  if (text === 'running' || text === 'waiting-for-callback' || text === 'closed') return text;
  throw new MessageError(`answer is ${JSON.stringify(text)}; allowed: running, waiting-for-callback, closed`);
}
