/**
 * Whether a job that came again may still be running where it was before. JetStream gives it to another pod when a
 * sidecar was silent for the ack wait: that may be dead, without NATS, or only frozen, and its app goes on.
 *
 * - After NATS was away the sidecars that held jobs may not have told it yet. So who holds a job is asked first.
 * - In strict order nothing may run beside an earlier run. Its sidecar wrote down where that is (`run` of the job's state).
 *   It is over when that sidecar is gone or says so, or when HttpTimeout has passed, which is where each try ends.
 *
 * While it may run the job is given back for a moment, at no cost.
 */
import { request } from 'node:http';
import { decodeAnswer, encodeQuestion } from '../../common/jobs/question.ts';
import type { JobState, RunningAt } from '../../common/jobs/state.ts';
import type { NatsLink } from '../../common/nats.ts';
import { jobQuestionSubject, type FunctionId } from '../../common/subjects.ts';
import { LATE_MS } from './consumer.ts';

export interface EarlierRunDeps {
  readonly id: FunctionId;
  readonly nats: Pick<NatsLink, 'request' | 'onStatus'>;
  /** This sidecar, as it writes itself down. */
  readonly self: () => Omit<RunningAt, 'startedAtMs'>;
  readonly isOrdered: boolean;
  readonly httpTimeoutMs: number;
  /** Jobs that this sidecar holds. */
  readonly holds: (elementId: string) => boolean;
  readonly now: () => number;
}

/** A sidecar on the same network answers in a millisecond or two. */
const ASK_MS = 300;
const PROBE_MS = 500;
/** For so long after NATS is back others may not have told what they hold. */
const UNTOLD_MS = 10_000;
/** Clocks of two nodes differ. */
const CLOCK_MARGIN_MS = 2_000;

export class EarlierRuns {
  readonly #deps: EarlierRunDeps;
  #backAtMs = -Infinity;
  #wasConnected = false;
  readonly stop: () => void;

  constructor(deps: EarlierRunDeps) {
    this.#deps = deps;
    const begunAtMs = deps.now();
    this.stop = deps.nats.onStatus((isConnected) => {
      const wasAway = this.#wasConnected || deps.now() - begunAtMs > LATE_MS;
      if (isConnected && wasAway) this.#backAtMs = deps.now();
      this.#wasConnected = true;
    });
  }

  /** @param isAgain it was delivered before, or may have been */
  async mayGoOn(elementId: string, isAgain: boolean): Promise<boolean> {
    if (this.#deps.holds(elementId)) return true;
    const isSoon = this.#deps.now() - this.#backAtMs < UNTOLD_MS;
    return isAgain && isSoon && (await this.#isHeld(elementId));
  }

  /** In strict order; `before` is what is on record. */
  async mayGoOnAt(elementId: string, before: JobState | undefined): Promise<boolean> {
    const { isOrdered, httpTimeoutMs, self, now } = this.#deps;
    const run = before?.state === 'running' ? before.run : undefined;
    if (!isOrdered || before === undefined) return false;
    const endMs = before.state === 'waiting-for-callback' ? before.deadlineMs : undefined;
    if (endMs !== undefined) return now() < endMs + CLOCK_MARGIN_MS && (await this.#isHeld(elementId));
    if (!run || now() > run.startedAtMs + httpTimeoutMs + CLOCK_MARGIN_MS) return false;
    // Our own pod, and we do not hold it: an earlier process of this sidecar is gone, and its connections with it.
    if (run.pod === self().pod) return false;
    const answer = await probe(run);
    if (answer === 'refused') return false;
    return answer === 'silent' || (await this.#isHeld(elementId));
  }

  async #isHeld(elementId: string): Promise<boolean> {
    const { nats, id } = this.#deps;
    const question = encodeQuestion({ kind: 'where', elementId });
    const answer = await nats.request(jobQuestionSubject(id), question, ASK_MS);
    return answer !== undefined && decodeAnswer(answer) !== 'closed';
  }
}

/** `silent`: it takes connections and does not answer, or nobody can tell. */
function probe({ host, port }: RunningAt): Promise<'answers' | 'refused' | 'silent'> {
  return new Promise((resolve) => {
    const req = request({ host, port, path: '/health', timeout: PROBE_MS }, (res) => {
      res.resume();
      resolve('answers');
    });
    req.on('timeout', () => req.destroy());
    req.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'silent'),
    );
    req.end();
  });
}
