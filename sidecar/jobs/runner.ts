/**
 * One job from delivery to ack: it holds a place while the function has it (a function that answered 202 still
 * works on it, so its place stays taken until it calls back), says "working" three times within the ack wait,
 * and leaves a record before it lets go. Whatever goes wrong on our side gives the job back unharmed and
 * uncharged; only what the function did, or failed to do, counts as a try.
 */
import { describeError } from '../../common/errors.ts';
import { readBody } from '../../common/jobs/body-store.ts';
import type { Delivery } from '../../common/jobs/delivery.ts';
import { decodeJob, elementId, type Job, type JobHead } from '../../common/jobs/job.ts';
import { ACK_WAIT_MS, VOID_HEADER } from '../../common/jobs/streams.ts';
import type { JobState, Try } from '../../common/jobs/state.ts';
import type { Log } from '../../common/log.ts';
import { HEADER } from '../../common/names.ts';
import {
  bufferBody,
  captureSink,
  headerValue,
  iterableBody,
  type BodySource,
  type CapturedAnswer,
  type Outcome,
  type Relay,
  type Target,
} from '../../common/relay/index.ts';
import type { RetryPolicy } from '../call-policy.ts';
import { parseRetryAfter } from '../retry.ts';
import type { Callbacks } from './callbacks.ts';
import { tryRecord, type JetStream, type Records } from './records.ts';
import { isLastTry, verdict, type TryOutcome, type Verdict } from './verdict.ts';

export interface RunnerDeps {
  readonly pod: string;
  readonly app: Target;
  readonly relay: Relay;
  readonly policy: RetryPolicy;
  readonly records: Records;
  readonly jetstream: JetStream;
  readonly callbacks: Callbacks;
  readonly log: Log;
  readonly now: () => number;
}

/** Results keep this much of an answer's body. */
const RESULT_BODY_BYTES = 64 * 1024;
/** A function that is not listening although its probe passed is about to be restarted. */
const UNREACHED_DELAY_MS = 1_000;
const CONNECT_MS = 5_000;
const BODY_IDLE_MS = 60_000;

export class JobRunner {
  readonly #deps: RunnerDeps;

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  /** With a place in hand; the caller releases it when this resolves. Never rejects. */
  async run(delivery: Delivery): Promise<void> {
    if (delivery.hasHeader(VOID_HEADER)) return delivery.ack();
    const heartbeat = setInterval(() => delivery.working(), ACK_WAIT_MS / 3);
    try {
      const job = decodeJob(delivery.data);
      await this.#runKnown(delivery, job, await this.#deps.records.before(delivery));
    } catch (error) {
      // JetStream did not confirm a record, or a body is not there (yet): nothing was charged, try again soon.
      this.#deps.log.warn({ job: delivery.seq, error: describeError(error) }, 'job given back');
      delivery.nak(UNREACHED_DELAY_MS);
    } finally {
      clearInterval(heartbeat);
    }
  }

  async #runKnown(delivery: Delivery, job: Job, before: JobState | undefined): Promise<void> {
    if (before && (before.state === 'done' || before.state === 'dead' || before.state === 'cancelled')) {
      return delivery.ack(); // its end was recorded, only the ack was lost
    }
    const now = this.#deps.now();
    if (before?.state === 'retrying' && before.nextTryAtMs - now > 50) {
      return delivery.nak(before.nextTryAtMs - now); // the server lost the delay, we have not
    }
    await this.#try(delivery, job, before?.tries ?? []);
  }

  async #try(delivery: Delivery, job: Job, tries: readonly Try[]): Promise<void> {
    const startedAtMs = this.#deps.now();
    const sink = captureSink(RESULT_BODY_BYTES);
    const outcome = await this.#exchange(delivery, job, { sink, triesBefore: tries.length });
    if (outcome === 'unreached') return delivery.nak(UNREACHED_DELAY_MS);
    const context = { delivery, head: job.head, tries, startedAtMs };
    const decided = this.#decide(outcome, tries.length);
    if (decided.kind === 'wait-for-callback') return this.#awaitCallback(context);
    await this.#settle(context, decided, outcome, sink.answer);
  }

  #exchange(
    delivery: Delivery,
    job: Job,
    { sink, triesBefore }: { sink: ReturnType<typeof captureSink>; triesBefore: number },
  ): Promise<TryOutcome | 'unreached'> {
    const { app, relay, policy } = this.#deps;
    return new Promise((resolve) => {
      relay.exchange(
        {
          target: app,
          head: { ...job.head, headers: this.#headers(delivery, job.head, triesBefore) },
          body: this.#body(job),
          sink,
          timeouts: {
            connectMs: CONNECT_MS,
            headMs: policy.httpTimeoutMs,
            idleMs: BODY_IDLE_MS,
            totalMs: policy.httpTimeoutMs,
          },
          mayRepeat: false,
        },
        (outcome) => resolve(tryOutcome(outcome, sink.answer, this.#deps.now())),
      );
    });
  }

  #headers(delivery: Delivery, head: JobHead, triesBefore: number): readonly string[] {
    return [
      ...head.headers,
      ...[HEADER.elementId, elementId(head.secret, delivery.seq)],
      ...[HEADER.tryNumber, String(triesBefore)],
      ...[HEADER.lastTry, String(isLastTry(triesBefore, this.#deps.policy))],
    ];
  }

  #body({ head, body }: Job): BodySource {
    if (!head.object) return bufferBody(body);
    return iterableBody(readBody(this.#deps.jetstream.jsm, head.object), head.object.size);
  }

  #decide(outcome: TryOutcome, triesBefore: number): Verdict {
    return verdict(outcome, triesBefore, this.#deps.policy);
  }

  /** 202: the job stays open, and its place taken, until the function calls back or HttpTimeout has passed. */
  async #awaitCallback(context: TryContext): Promise<void> {
    const { callbacks, policy, records, now } = this.#deps;
    const { delivery, head, tries } = context;
    const deadlineMs = now() + policy.httpTimeoutMs;
    const id = elementId(head.secret, delivery.seq);
    const called = callbacks.open(id, policy.httpTimeoutMs);
    await records.write(delivery, { ...baseOf(head, tries), state: 'waiting-for-callback', deadlineMs });
    const outcome = await called;
    if (outcome === 'ended') return delivery.nak(0); // the pod ends, and the work in it: another pod's turn
    if (outcome === 'success')
      return this.#settle(context, { kind: 'done' }, { kind: 'callback-error' }, undefined);
    const failure: TryOutcome = { kind: outcome === 'error' ? 'callback-error' : 'callback-timeout' };
    await this.#settle(context, this.#decide(failure, tries.length), failure, undefined);
  }

  async #settle(
    { delivery, head, tries, startedAtMs }: TryContext,
    decided: Verdict,
    outcome: TryOutcome,
    answer: CapturedAnswer | undefined,
  ): Promise<void> {
    const { records, pod, now, log } = this.#deps;
    const status = outcome.kind === 'answered' ? { status: outcome.status } : {};
    const error = 'error' in decided ? { error: decided.error } : {};
    const base = baseOf(head, [...tries, tryRecord(startedAtMs, now(), pod, { ...status, ...error })]);
    switch (decided.kind) {
      case 'retry':
        log.info({ job: delivery.seq, tries: base.tries.length, ...decided }, 'job failed; will be retried');
        return records.giveBack(
          delivery,
          { ...base, state: 'retrying', nextTryAtMs: now() + decided.delayMs },
          decided.delayMs,
        );
      case 'dead':
        log.warn({ job: delivery.seq, tries: base.tries.length, error: decided.error }, 'job given up');
        return records.bury(delivery, { ...base, state: 'dead', why: decided.error });
      default:
        return records.finish(delivery, head, { ...base, state: 'done', result: resultOf(answer) });
    }
  }
}

interface TryContext {
  readonly delivery: Delivery;
  readonly head: JobHead;
  readonly tries: readonly Try[];
  readonly startedAtMs: number;
}

function baseOf({ secret, acceptedAtMs }: JobHead, tries: readonly Try[]) {
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

/** `unreached`: the function has seen nothing of the request, so this was no try. */
function tryOutcome(
  outcome: Outcome,
  answer: CapturedAnswer | undefined,
  nowMs: number,
): TryOutcome | 'unreached' {
  switch (outcome.kind) {
    case 'answered': {
      const retryAfter = answer && headerValue(answer.head.headers, 'retry-after');
      return { kind: 'answered', status: outcome.status, retryAfterMs: parseRetryAfter(retryAfter, nowMs) };
    }
    case 'timeout':
      return outcome.sentBytes === 0 && outcome.phase === 'connect' ? 'unreached' : { kind: 'timeout' };
    case 'failed':
      if (outcome.sentBytes === 0) return 'unreached';
      if (outcome.callerFailed === true)
        return { kind: 'broken', error: `body: ${describeError(outcome.error)}` };
      return { kind: 'broken', error: describeError(outcome.error) };
    case 'discarded':
    case 'cancelled':
      return 'unreached';
  }
}
