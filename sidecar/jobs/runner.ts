/**
 * One job from delivery to ack. It holds a place while the function has it. A function that answered 202 still works
 * on it, so its place stays taken until it calls back. The runner sends "working" three times within the ack wait,
 * and leaves a record before it lets go. Whatever goes wrong on our side gives the job back unharmed and uncharged;
 * only what the function did, or failed to do, counts as a try.
 */
import type { Delivery } from '../../common/queue/queue.ts';
import { ACK_WAIT_MS } from '../../common/queue/settings.ts';
import type { QueueSession } from './consumer.ts';
import { tryRecord, type Records } from './ending/records.ts';
import { describeError, MessageError } from '../../common/runtime/errors.ts';
import { decodeJob, elementId, type Job, type JobHead } from '../../common/queue/job.ts';
import type { JobState, RunningAt, Try } from '../../common/queue/state.ts';
import type { Log } from '../../common/runtime/log.ts';
import {
  captureSink,
  type CaptureSink,
  type CapturedAnswer,
  type Relay,
  type RelayTarget,
} from '../../common/relay/index.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';
import type { Callbacks } from './callbacks.ts';
import type { EarlierRuns } from './earlier-run.ts';
import type { JobStats } from './ending/job-stats.ts';
import type { Tried } from './outcome.ts';
import type { Outcomes } from './ending/outcomes.ts';
import { tryJob } from './try-job.ts';
import { verdict, type TryOutcome, type Verdict } from './verdict.ts';

export interface RunnerDeps {
  readonly pod: string;
  readonly app: RelayTarget;
  readonly relay: Relay;
  readonly policy: RetryPolicy;
  /** The policy of jobs that are events. */
  readonly eventPolicy: RetryPolicy;
  readonly jitter: number;
  readonly records: Records;
  readonly outcomes: Outcomes;
  readonly earlier: EarlierRuns;
  readonly isOrdered: boolean;
  /** This sidecar, for other pods to find it. */
  readonly self: Omit<RunningAt, 'startedAtMs'>;
  readonly session: QueueSession;
  readonly callbacks: Callbacks;
  readonly stats: JobStats;
  readonly log: Log;
  readonly now: () => number;
}

/** Results keep this much of an answer's body. */
const RESULT_BODY_BYTES = 64 * 1024;
/** A function that is not listening although its probe passed is about to be restarted. */
const UNREACHED_DELAY_MS = 1_000;
/** Deliveries beyond the tries on record from which on each start is written down: something is wrong there. */
const SUSPECT_DELIVERIES = 5;
/** A job that was begun so often without an outcome kills its pods, and would forever. */
const LOST_MAX = 10;

interface Known {
  readonly delivery: Delivery;
  readonly job: Job;
  readonly before: JobState | undefined;
  readonly signal: AbortSignal;
}

interface Run {
  readonly delivery: Delivery;
  readonly head: JobHead;
  readonly tries: readonly Try[];
  readonly lost: number;
  readonly policy: RetryPolicy;
  /** Aborted at the pod's end. */
  readonly signal: AbortSignal;
  readonly startedAtMs: number;
}

export class JobRunner {
  readonly #deps: RunnerDeps;

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  /** With a place in hand; the caller releases it when this resolves. Never rejects. */
  async run(delivery: Delivery, signal: AbortSignal): Promise<void> {
    if (delivery.isVoid) return delivery.finish();
    const heartbeat = setInterval(() => delivery.working(), ACK_WAIT_MS / 3);
    try {
      const job = decodeJob(delivery.data);
      const before = await this.#before(delivery, job.head);
      // The pod that has it sends "working" within the ack wait, or ends it: nothing is to be told to JetStream here.
      if (before === 'told' || before === 'held') return;
      if (before === 'unclear') return this.#deps.records.giveBack(delivery, this.#deps.earlier.askAgainInMs);
      const release = this.#deps.callbacks.hold(elementId(job.head.secret, delivery.seq));
      await this.#runKnown({ delivery, job, before, signal }).finally(release);
    } catch (error) {
      await this.#setAside(delivery, error);
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** A payload that nobody can read is a dead letter; for all else JetStream did not confirm something. */
  async #setAside(delivery: Delivery, error: unknown): Promise<void> {
    const { log, outcomes, stats } = this.#deps;
    const why = describeError(error);
    if (error instanceof MessageError) {
      log.error({ job: delivery.seq, why }, 'job that cannot be read is set aside');
      stats.ended('dead');
      return outcomes.settle(delivery, { kind: 'unread', why });
    }
    log.warn({ job: delivery.seq, why }, 'job given back');
    stats.ended('given-back');
    this.#deps.records.giveBack(delivery, UNREACHED_DELAY_MS);
  }

  async #runKnown({ delivery, job, before, signal }: Known): Promise<void> {
    if (before?.state === 'done' || before?.state === 'dead') {
      await this.#deps.records.sendResult(delivery, job.head, before);
      return delivery.finish(); // its end was recorded, only the ack was lost
    }
    if (before?.state === 'cancelled') return delivery.finish();
    const now = this.#deps.now();
    if (before?.state === 'retrying' && before.nextTryAtMs - now > 50) {
      return this.#deps.records.giveBack(delivery, before.nextTryAtMs - now); // the server lost the delay, we have not
    }
    const { tries = [], lost = 0 } = before ?? {};
    const policy = job.head.event === undefined ? this.#deps.policy : this.#deps.eventPolicy;
    const run = { delivery, head: job.head, tries, lost, policy, signal, startedAtMs: now };
    if (lost >= LOST_MAX) return this.#bury(run, tries, `its pod ended under it ${lost} times`);
    await this.#try(run, job);
  }

  /** What is known of it; `held`, `unclear`: another pod has it or may have it, so not now. */
  async #before(
    delivery: Delivery,
    head: JobHead,
  ): Promise<JobState | 'told' | 'held' | 'unclear' | undefined> {
    const { callbacks, outcomes, records, earlier } = this.#deps;
    const own = await outcomes.onRedelivery(delivery, head);
    if (own !== undefined) return own;
    const element = elementId(head.secret, delivery.seq);
    const before = await records.before(delivery, head);
    if (callbacks.holds(element)) return 'held';
    if (!earlier.mustAsk(before, records.mayBeHeld(delivery, before))) return before;
    const where = await earlier.whereIs(element, before);
    if (where !== 'nowhere') return where;
    // It may have ended, and been let go, between the look at its record and the question.
    return callbacks.holds(element) ? 'held' : records.before(delivery, head);
  }

  async #try(run: Run, job: Job): Promise<void> {
    const { records, stats, now, jitter, isOrdered } = this.#deps;
    const { delivery, head, tries, lost, policy } = run;
    const isSuspect = delivery.deliveries - tries.length > SUSPECT_DELIVERIES;
    const note = { ...baseOf(run, tries), state: 'running', ...this.#place(now()) } as const;
    if (isSuspect || isOrdered) await records.note(delivery, { ...note, lost: isSuspect ? lost + 1 : lost });
    stats.started();
    const sink = captureSink(RESULT_BODY_BYTES);
    const tried = await this.#exchange(run, job, sink);
    if (tried.kind === 'none') {
      // Nobody runs it: the next pod need not look.
      if (isSuspect || isOrdered) await this.#note(run, { ...baseOf(run, tries), state: 'running', lost });
      return this.#giveBack(run, tried.why);
    }
    const decided = verdict(tried, tries.length, policy, { jitter });
    if (decided.kind !== 'wait-for-callback') return this.#settle(run, decided, tried, sink.answer);
    // Nobody was told the id of an event, so nobody is waited for.
    if (head.event !== undefined) return this.#settle(run, { kind: 'done' }, tried, sink.answer);
    await this.#awaitCallback(run, now());
  }

  #giveBack({ delivery, signal }: Run, why: string): void {
    this.#deps.log.info({ job: delivery.seq, why }, 'job given back; no try is charged');
    this.#deps.stats.ended('given-back');
    this.#deps.records.giveBack(delivery, signal.aborted ? 0 : UNREACHED_DELAY_MS);
  }

  #exchange(run: Run, job: Job, sink: CaptureSink): Promise<Tried> {
    const { session } = this.#deps;
    const { delivery, tries, policy, signal } = run;
    const given = { job, sequence: delivery.seq, triesBefore: tries.length, policy, signal };
    return tryJob(given, sink, { ...this.#deps, bodies: session.queue });
  }

  /** 202: the job stays open, and its place taken, until the function calls back or HttpTimeout has passed. */
  async #awaitCallback(run: Run, nowMs: number): Promise<void> {
    const { callbacks, jitter } = this.#deps;
    const { delivery, head, tries, policy } = run;
    const called = callbacks.open(elementId(head.secret, delivery.seq), policy.httpTimeoutMs);
    const deadlineMs = nowMs + policy.httpTimeoutMs;
    await this.#note(run, { ...baseOf(run, tries), state: 'waiting-for-callback', deadlineMs });
    const outcome = await called;
    if (outcome === 'ended') return this.#giveBack(run, 'the pod ends, and the work in it');
    if (outcome === 'success') return this.#settle(run, { kind: 'done' }, { kind: 'called-back' }, undefined);
    const failure: TryOutcome = { kind: outcome === 'error' ? 'callback-error' : 'callback-timeout' };
    await this.#settle(run, verdict(failure, tries.length, policy, { jitter }), failure, undefined);
  }

  async #settle(
    run: Run,
    decided: Verdict,
    outcome: TryOutcome,
    answer: CapturedAnswer | undefined,
  ): Promise<void> {
    const { outcomes, pod, now, log, stats } = this.#deps;
    const { delivery, head } = run;
    const status = outcome.kind === 'answered' ? { status: outcome.status } : {};
    const error = 'error' in decided ? { error: decided.error } : {};
    const tries = [...run.tries, tryRecord(run.startedAtMs, now(), pod, { ...status, ...error })];
    if (decided.kind === 'dead') return this.#bury(run, tries, decided.error);
    if (decided.kind === 'retry') {
      const { delayMs } = decided;
      log.info({ job: delivery.seq, tries: tries.length, ...decided }, 'job failed; will be retried');
      const state = { ...baseOf(run, tries), state: 'retrying', nextTryAtMs: now() + delayMs } as const;
      stats.ended('retry');
      return outcomes.settle(delivery, { kind: 'retry', head, state });
    }
    const state = { ...baseOf(run, tries), state: 'done', result: resultOf(answer) } as const;
    stats.ended('done');
    await outcomes.settle(delivery, { kind: 'done', head, state });
  }

  async #bury(run: Run, tries: readonly Try[], why: string): Promise<void> {
    const { outcomes, log, stats } = this.#deps;
    const { delivery, head } = run;
    log.warn({ job: delivery.seq, tries: tries.length, why }, 'job given up');
    stats.ended('dead');
    await outcomes.settle(delivery, {
      kind: 'dead',
      head,
      state: { ...baseOf(run, tries), state: 'dead', why },
    });
  }

  /** In strict order: who has it now. */
  #place(startedAtMs: number): { readonly run?: RunningAt } {
    const { isOrdered, self } = this.#deps;
    return isOrdered ? { run: { ...self, startedAtMs } } : {};
  }

  /** Writes down what has begun. The job goes on, also where that fails. */
  async #note({ delivery }: Run, state: JobState): Promise<void> {
    await this.#deps.records.note(delivery, state).catch((error: unknown) => {
      this.#deps.log.info(
        { job: delivery.seq, error: describeError(error) },
        'state of a job is not recorded',
      );
    });
  }
}

function baseOf({ head: { secret, acceptedAtMs } }: Run, tries: readonly Try[]) {
  return { secret, acceptedAtMs, tries };
}

function resultOf(answer: CapturedAnswer | undefined): (JobState & { state: 'done' })['result'] {
  if (!answer) return undefined;
  const { head, body, isTruncated } = answer;
  return {
    status: head.status,
    headers: head.headers,
    body: body.toString('base64'),
    bodyTruncated: isTruncated,
  };
}
