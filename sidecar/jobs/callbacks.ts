/**
 * The jobs that this sidecar holds, by element id: which run, and which wait for their function to call back.
 * It answers the questions of proxies and other sidecars; a callback closes a job once, so a second one finds nothing.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { jobQuestionSubject, type FunctionId } from '../../common/bus/subjects.ts';
import { parseElementId } from '../../common/queue/job.ts';
import { decodeQuestion, encodeAnswer, encodeHeld } from '../../common/queue/question.ts';

export type CallbackOutcome = 'success' | 'error' | 'timeout' | 'ended';

export class Callbacks {
  /** How many hold each: its run, and the record of its end that JetStream has not yet. */
  readonly #running = new Map<string, number>();
  readonly #pod: string | undefined;
  /** Held still, while the end is written down; a second callback is too late by now. */
  readonly #closed = new Set<string>();
  readonly #open = new Map<string, (outcome: CallbackOutcome) => void>();

  /** @param pod this sidecar's, for questions that are put to it alone */
  constructor(pod?: string) {
    this.#pod = pod;
  }

  /** Marks a job as held; returns its release. */
  hold(elementId: string): () => void {
    this.#running.set(elementId, (this.#running.get(elementId) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = (this.#running.get(elementId) ?? 1) - 1;
      if (left > 0) return void this.#running.set(elementId, left);
      this.#running.delete(elementId);
      this.#closed.delete(elementId);
    };
  }

  holds(elementId: string): boolean {
    return this.#running.has(elementId);
  }

  /** Resolves with the callback, with `timeout` after `timeoutMs`, or with `ended` when the pod ends. */
  open(elementId: string, timeoutMs: number): Promise<CallbackOutcome> {
    return new Promise((resolve) => {
      const close = (outcome: CallbackOutcome): void => {
        clearTimeout(timer);
        this.#open.delete(elementId);
        if (this.#running.has(elementId)) this.#closed.add(elementId);
        resolve(outcome);
      };
      const timer = setTimeout(() => close('timeout'), timeoutMs);
      this.#open.set(elementId, close);
    });
  }

  get waiting(): number {
    return this.#open.size;
  }

  /** The pod ends: what waits is given back. */
  end(): void {
    for (const close of this.#open.values()) close('ended');
  }

  /** For NatsLink.serve: undefined keeps silent, because another sidecar may hold the job. */
  answer(data: Uint8Array): Uint8Array | undefined {
    const question = decodeQuestion(data);
    if (question.kind === 'held') return this.#running.size > 0 ? encodeHeld(this.#heldUpTo()) : undefined;
    const close = this.#open.get(question.elementId);
    if (close && question.kind === 'callback') {
      close(question.outcome);
      return encodeAnswer('closed');
    }
    if (close) return encodeAnswer('waiting-for-callback');
    if (question.kind === 'callback' && this.#closed.has(question.elementId)) return undefined;
    if (this.#running.has(question.elementId)) return encodeAnswer('running');
    const isToUs = question.kind === 'where' && question.pod !== undefined && question.pod === this.#pod;
    return isToUs ? encodeAnswer('not-held') : undefined;
  }

  #heldUpTo(): number {
    let most = 0;
    for (const element of this.#running.keys()) most = Math.max(most, parseElementId(element)?.sequence ?? 0);
    return most;
  }
}

export interface AnswerOptions {
  readonly id: FunctionId;
  readonly nats: Pick<NatsLink, 'serve'>;
  readonly callbacks: Callbacks;
  readonly log: Log;
}

/** Answers what proxies and other sidecars ask about jobs. @returns its end */
export function serveQuestions({ id, nats, callbacks, log }: AnswerOptions): () => void {
  return nats.serve(jobQuestionSubject(id), (data) => {
    try {
      return callbacks.answer(data);
    } catch (error) {
      log.warn({ error: describeError(error) }, 'question not understood');
      return undefined;
    }
  });
}
