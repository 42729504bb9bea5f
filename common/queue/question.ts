/**
 * What proxies and sidecars ask the sidecars of a function about their jobs, over core NATS. Only a sidecar that holds
 * the job answers, and `held` any that holds jobs; silence means that nobody does.
 */
import { MessageError } from '../runtime/errors.ts';

export type JobQuestion =
  /** The sidecar of `pod` answers also when it does not hold the job; those of 0.1.0 keep silent then. */
  | { readonly kind: 'where'; readonly elementId: string; readonly pod?: string }
  /** Up to which sequence. Sidecars of 0.1.0 keep silent. */
  | { readonly kind: 'held' }
  | { readonly kind: 'callback'; readonly elementId: string; readonly outcome: 'success' | 'error' };

/** `closed`: the callback was taken. `running`: the function has not answered yet, so it cannot call back. */
export type JobAnswer = 'running' | 'waiting-for-callback' | 'closed' | 'not-held';

const ANSWERS: readonly JobAnswer[] = ['running', 'waiting-for-callback', 'closed', 'not-held'];

export function encodeQuestion(question: JobQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(question));
}

/** @throws MessageError */
export function decodeQuestion(data: Uint8Array): JobQuestion {
  let value: { kind?: unknown; elementId?: unknown; outcome?: unknown } | null;
  try {
    value = JSON.parse(new TextDecoder().decode(data)) as typeof value;
  } catch (cause) {
    throw new MessageError('question is not JSON', { cause });
  }
  if (value?.kind === 'held') return { kind: 'held' };
  const isWhere = value?.kind === 'where';
  const isCallback = value?.kind === 'callback' && (value.outcome === 'success' || value.outcome === 'error');
  if (!(isWhere || isCallback) || typeof value?.elementId !== 'string') {
    throw new MessageError('question lacks a known kind, an elementId or an outcome');
  }
  return value as JobQuestion;
}

/** To `held`: the highest sequence on the jobs' stream. */
export function encodeHeld(sequence: number): Uint8Array {
  return new TextEncoder().encode(String(sequence));
}

/** @throws MessageError */
export function decodeHeld(data: Uint8Array): number {
  const text = new TextDecoder().decode(data.subarray(0, 32));
  if (!/^\d{1,15}$/.test(text))
    throw new MessageError(`answer is ${JSON.stringify(text)}; allowed: a sequence, up to 15 digits`);
  return Number(text);
}

export function encodeAnswer(answer: JobAnswer): Uint8Array {
  return new TextEncoder().encode(answer);
}

/** @throws MessageError */
export function decodeAnswer(data: Uint8Array): JobAnswer {
  const text = new TextDecoder().decode(data.subarray(0, 32));
  const answer = ANSWERS.find((one) => one === text);
  if (answer !== undefined) return answer;
  throw new MessageError(`answer is ${JSON.stringify(text)}; allowed: ${ANSWERS.join(', ')}`);
}
