/**
 * The pod's share in events, put together. It has its own consumer on the stream of events, which is run as jobs are.
 * The scalers make it, and take over what is left at the pod's end. Loaded once the app is ready: no cold start waits
 * for it.
 */
import { askScalers, type AskAnswer } from '../../common/bus/asks.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import { jetStreamQueue } from '../../common/queue/jetstream/link.ts';
import type { Queue, QueueLink } from '../../common/queue/queue.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { sleep, type Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';
import type { SidecarContext } from '../context.ts';
import { JobConsumer } from '../jobs/consumer.ts';
import type { JobStats } from '../jobs/ending/job-stats.ts';
import { placesOf } from '../jobs/places.ts';
import type { Shares } from '../limits/shares.ts';
import { EventRunner } from './event-runner.ts';
import { EventLedger } from './ledger.ts';

export interface EventsOptions {
  readonly id: FunctionId;
  readonly pod: string;
  readonly policy: RetryPolicy;
  /** 0 to 1, see verdict.ts. */
  readonly jitter: number;
  /** When the pod started: what was published before concerns others. */
  readonly startedAtMs: number;
  /** NATS does not authenticate its clients. Scalers may then be of a version that makes no consumers and does not answer. */
  readonly mayMakeConsumer: boolean;
  readonly nats: NatsLink;
  readonly shares: Pick<Shares, 'isKnown'>;
  readonly context: Pick<SidecarContext, 'app' | 'relay' | 'admission' | 'inFlight' | 'reporter'>;
  readonly stats: JobStats;
  readonly log: Log;
}

export interface RunningEvents extends Running {
  /** No new ones. */
  drain(): void;
}

/** Between two looks whether the consumer is there: JetStream may have lost it with its memory. */
const CONSUMER_CHECK_INTERVAL_MS = 30_000;
/** There is no stream before the scaler has made it, and no server while it is away. */
const EVENTS_RETRY_MS = 1_000;
/** Clocks of two nodes differ; an event of these seconds may come to a pod that did not need it. */
const EVENTS_CLOCK_MARGIN_MS = 5_000;
/** A scaler answers within milliseconds; one that starts makes many. */
const ASK_SCALERS_MS = 3_000;
/** What the pod's grace period has left at the end of its drain. */
const HAND_OVER_MS = 1_500;

/** With the queue that it made of the link. */
type Options = EventsOptions & { readonly queue: QueueLink };

export function startEvents(given: EventsOptions): RunningEvents {
  const options = { ...given, queue: jetStreamQueue(given.nats, given.id) };
  const { fairness } = options.context.admission;
  const ledger = new EventLedger();
  const stopping = new AbortController();
  let consumer: JobConsumer | undefined;
  void keepConsumer(options, stopping.signal, () => (consumer ??= consume(options, ledger)));
  return {
    drain() {
      stopping.abort();
      consumer?.drain();
      fairness.areEventsWaiting = false;
    },
    async stop() {
      stopping.abort();
      await consumer?.stop();
      await handOver(options, ledger);
    },
  };
}

/** Jobs of another stream, as far as the pod's places are concerned. */
function consume(options: Options, ledger: EventLedger): JobConsumer {
  const { id, pod, queue, context, log } = options;
  const { app, relay, admission } = context;
  return new JobConsumer({
    source: { kind: 'events', id, pod },
    queue,
    fairness: {
      get areJobsWaiting() {
        return admission.fairness.areEventsWaiting;
      },
      set areJobsWaiting(value) {
        admission.fairness.areEventsWaiting = value;
      },
    },
    places: placesOf(options),
    createRunner: (session) =>
      new EventRunner({ ...options, app, relay, ledger, bodies: session.queue, now: Date.now }),
    log,
  });
}

/** @param onThere whenever the pod's consumer was found or made */
async function keepConsumer(options: Options, signal: AbortSignal, onThere: () => void): Promise<void> {
  const { id, pod, queue, log } = options;
  let isAsked = false;
  let hasFailed = false;
  while (!signal.aborted) {
    let waitMs = EVENTS_RETRY_MS;
    try {
      const { live } = queue;
      // Asked for once in any case, so that the scalers know that this pod does not end.
      const isThere = isAsked && (await live?.look({ kind: 'events', id, pod }));
      if (live && !isThere) isAsked = await askForConsumer(options, live);
      if (live && !signal.aborted) onThere();
      if (live) waitMs = CONSUMER_CHECK_INTERVAL_MS;
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) log.warn({ error: describeError(error) }, 'no events yet; trying again');
      hasFailed = true;
    }
    await pause(queue, waitMs, signal);
  }
}

/** @returns whether a scaler has heard it. @throws why there is none */
async function askForConsumer(options: Options, queue: Queue): Promise<boolean> {
  const { id, pod, mayMakeConsumer } = options;
  const answer = await ask(options, 'read-events', ASK_SCALERS_MS);
  if (answer?.isGranted) return true;
  if (answer) throw new Error(answer.why);
  if (await queue.look({ kind: 'events', id, pod })) return false;
  if (!mayMakeConsumer) throw new Error('no scaler answers');
  await queue.openReader({ id, pod, sinceMs: sinceMsOf(options) });
  return false;
}

function ask(
  options: Options,
  what: 'read-events' | 'hand-over-events',
  timeoutMs: number,
): Promise<AskAnswer | undefined> {
  return askScalers(options.nats, options, { ask: what, sinceMs: sinceMsOf(options) }, timeoutMs);
}

function sinceMsOf({ startedAtMs }: Options): number {
  return startedAtMs - EVENTS_CLOCK_MARGIN_MS;
}

/** Over early when the connection comes or goes. */
async function pause(queue: QueueLink, ms: number, signal: AbortSignal): Promise<void> {
  const hasChanged = new AbortController();
  const release = queue.onStatus(() => hasChanged.abort());
  await sleep(ms, AbortSignal.any([signal, hasChanged.signal])).finally(release);
}

/** The scaler takes over what is not finished. If NATS or the scaler is away, the scaler finds it later by itself. */
async function handOver(options: Options, ledger: EventLedger): Promise<void> {
  const { live } = options.queue;
  if (!live) return;
  // Else nobody gets it before its retry is due. It may be too old by then.
  for (const delivery of ledger.waiting) live.retryLater(delivery, 0);
  const answer = await ask(options, 'hand-over-events', HAND_OVER_MS).catch(() => undefined);
  if (!answer?.isGranted) options.log.warn('no scaler answers; events that are left are found later');
}
