/**
 * What a sidecar asks and wants of the scalers, on `slimfaas.ask.<namespace>.<function>.<pod>`. Who asks is known by the
 * subject alone; the message names no pod. Every scaler hears it, and the first answer counts.
 */
import { MessageError } from '../runtime/errors.ts';
import { parseMessage } from './messages.ts';
import type { NatsLink } from './nats.ts';
import { podSubject, type FunctionId } from './subjects.ts';

export type Ask =
  /** Whether Kubernetes calls the pod ready; answered as pod-ready.ts says. */
  | { readonly ask: 'pod-ready' }
  /**
   * The pod wants to read its function's events.
   * - `sinceMs`: those from then on, in milliseconds since 1970
   */
  | { readonly ask: 'read-events'; readonly sinceMs: number }
  /** The pod ends, and what it has not finished of its events is to become jobs. `sinceMs` as above. */
  | { readonly ask: 'hand-over-events'; readonly sinceMs: number };

export interface Asker {
  readonly id: FunctionId;
  readonly pod: string;
}

/** To a wish. Granted: a reader is there; a hand-over is begun. */
export type AskAnswer = { readonly isGranted: true } | { readonly isGranted: false; readonly why: string };

export function encodeAsk(ask: Ask): Uint8Array {
  return encoder.encode(JSON.stringify(ask));
}

/** Longer than any of the words with their numbers. */
const ASK_BYTES = 1_024;
/** The last moment that a Date can be. */
const LAST_MS = 8.64e15;

/** @throws MessageError */
export function decodeAsk(data: Uint8Array): Ask {
  const { ask, sinceMs } = parseMessage(data, ASK_BYTES);
  if (ask === 'pod-ready') return { ask };
  if (ask !== 'read-events' && ask !== 'hand-over-events')
    throw new MessageError(
      `ask is ${JSON.stringify(ask)}; allowed: pod-ready, read-events, hand-over-events`,
    );
  if (typeof sinceMs !== 'number' || !Number.isSafeInteger(sinceMs) || sinceMs < 0 || sinceMs > LAST_MS)
    throw new MessageError(`sinceMs is no whole number of milliseconds from 0 to ${LAST_MS}`);
  return { ask, sinceMs };
}

export function encodeAskAnswer(answer: AskAnswer): Uint8Array {
  return encoder.encode(JSON.stringify(answer));
}

/** @throws MessageError */
export function decodeAskAnswer(data: Uint8Array): AskAnswer {
  const { isGranted, why } = parseMessage(data);
  if (isGranted === true) return { isGranted };
  if (isGranted === false && typeof why === 'string') return { isGranted, why };
  throw new MessageError('the answer of the scaler says neither isGranted nor why not');
}

/**
 * @returns undefined when no scaler answered in time, or the link is down
 * @throws MessageError for an answer that nobody can read
 */
export async function askScalers(
  nats: Pick<NatsLink, 'request'>,
  { id, pod }: Asker,
  ask: Ask,
  timeoutMs: number,
): Promise<AskAnswer | undefined> {
  const data = await nats.request(podSubject('ask', id, pod), encodeAsk(ask), timeoutMs);
  return data && decodeAskAnswer(data);
}

const encoder = new TextEncoder();
