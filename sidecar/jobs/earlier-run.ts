/**
 * Whether another pod has a job that came again. JetStream gives it to another pod when a sidecar was silent for
 * the ack wait. That sidecar may be dead, without NATS, or only frozen, and its app goes on. Version 2.15 of
 * nats-server gives away at once what was in hand when it was restarted.
 *
 * - The other sidecars are asked who has it. Silence counts once all are back that lost the server when this one did.
 * - In strict order nothing may run beside an earlier run. Its sidecar wrote down where that is (`run` of the job's state).
 *   It is over when that sidecar is gone or says so, or when HttpTimeout has passed, which is where each try ends.
 *
 * While nobody can tell the job is given back for a moment, at no cost.
 */
import { connect } from 'node:net';
import { MessageError } from '../../common/runtime/errors.ts';
import {
  decodeAnswer,
  decodeHeld,
  encodeQuestion,
  type JobAnswer,
  type JobQuestion,
} from '../../common/queue/question.ts';
import type { JobState, RunningAt } from '../../common/queue/state.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { jobQuestionSubject, type FunctionId } from '../../common/bus/subjects.ts';

export interface EarlierRunDeps {
  readonly id: FunctionId;
  readonly nats: Pick<NatsLink, 'request' | 'requestAll' | 'othersBackInMs'>;
  /** This sidecar, as it writes itself down. */
  readonly self: Omit<RunningAt, 'startedAtMs'>;
  readonly isOrdered: boolean;
  readonly httpTimeoutMs: number;
  readonly now: () => number;
}

/** `unclear`: a pod that cannot answer now may have it. */
export type Where = 'held' | 'unclear' | 'nowhere';

/** A sidecar on the same network answers in a millisecond or two. */
const ASK_MS = 300;
const PROBE_MS = 500;
const UNCLEAR_MS = 1_000;
/** Clocks of two nodes differ. */
const RUN_CLOCK_MARGIN_MS = 2_000;

export class EarlierRuns {
  readonly #deps: EarlierRunDeps;

  constructor(deps: EarlierRunDeps) {
    this.#deps = deps;
  }

  /** When an unclear job is worth another look. */
  get askAgainInMs(): number {
    return this.#deps.nats.othersBackInMs || UNCLEAR_MS;
  }

  /** The highest sequence that any sidecar of the function holds; 0: none. Infinity while nobody can tell. */
  async heldUpTo(): Promise<number> {
    const { nats, id } = this.#deps;
    if (nats.othersBackInMs > 0) return Infinity;
    const answers = await nats.requestAll(jobQuestionSubject(id), encodeQuestion({ kind: 'held' }), ASK_MS);
    // The server went away meanwhile: silence tells nothing.
    if (nats.othersBackInMs > 0) return Infinity;
    return Math.max(0, ...answers.map((answer) => readable(answer, decodeHeld) ?? 0));
  }

  /** @param before what is on record. What has ended, no pod has any more. */
  mustAsk(before: JobState | undefined, mayBeHeld: boolean): boolean {
    if (before?.state === 'done' || before?.state === 'dead' || before?.state === 'cancelled') return false;
    return mayBeHeld || this.#isNoted(before);
  }

  async whereIs(elementId: string, before: JobState | undefined): Promise<Where> {
    const where = await this.#ask(elementId);
    if (where === 'held' || before?.state !== 'running' || !before.run || !this.#isNoted(before))
      return where;
    const { pod } = before.run;
    const answer = await this.#answerOf({ kind: 'where', elementId, pod });
    if (answer !== undefined) return answer === 'not-held' ? 'nowhere' : 'held';
    // It is frozen, or without NATS, unless its process is gone.
    return (await isGone(before.run)) ? 'nowhere' : 'unclear';
  }

  /** In strict order: somebody wrote down that it runs, and its time is not over. */
  #isNoted(before: JobState | undefined): boolean {
    const { isOrdered, httpTimeoutMs, self, now } = this.#deps;
    if (!isOrdered) return false;
    if (before?.state === 'waiting-for-callback') return now() < before.deadlineMs + RUN_CLOCK_MARGIN_MS;
    if (before?.state !== 'running' || !before.run) return false;
    // Our own pod, and we do not hold it: an earlier process of this sidecar is gone, and its connections with it.
    if (before.run.pod === self.pod) return false;
    return now() <= before.run.startedAtMs + httpTimeoutMs + RUN_CLOCK_MARGIN_MS;
  }

  async #ask(elementId: string): Promise<Where> {
    const { nats } = this.#deps;
    const wereAway = nats.othersBackInMs > 0;
    if ((await this.#answerOf({ kind: 'where', elementId })) !== undefined) return 'held';
    return wereAway || nats.othersBackInMs > 0 ? 'unclear' : 'nowhere';
  }

  async #answerOf(question: JobQuestion): Promise<JobAnswer | undefined> {
    const { nats, id } = this.#deps;
    const data = await nats.request(jobQuestionSubject(id), encodeQuestion(question), ASK_MS);
    return data && readable(data, decodeAnswer);
  }
}

/** What nobody can read is no answer: it must not cost the job that was asked about. */
function readable<T>(data: Uint8Array, decode: (data: Uint8Array) => T): T | undefined {
  try {
    return decode(data);
  } catch (error) {
    if (error instanceof MessageError) return undefined;
    throw error;
  }
}

/** Its address refuses connections. False where nobody can tell. */
function isGone({ host, port }: RunningAt): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_MS });
    const end = (gone: boolean): void => {
      socket.destroy();
      resolve(gone);
    };
    socket.once('connect', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'));
  });
}
