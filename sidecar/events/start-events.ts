/**
 * The pod's share in events, put together. It has its own consumer on the stream of events, which is run as jobs are.
 * What is left at the pod's end is handed over. Loaded once the app is ready: no cold start waits for it.
 */
import type { NatsLink } from '../../common/bus/nats.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import { jetStreamQueue } from '../../common/queue/jetstream/link.ts';
import type { Queue, QueueLink } from '../../common/queue/queue.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { decodeJob } from '../../common/queue/job.ts';
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
/** What the pod's grace period has left at the end of its drain; the scaler does what is not done by then. */
const HAND_OVER_MS = 1_500;

/** With the queue that it made of the link. */
type Options = EventsOptions & { readonly queue: QueueLink };

export function startEvents(given: EventsOptions): RunningEvents {
  const options = { ...given, queue: jetStreamQueue(given.nats) };
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
      await handOverRest(options, ledger);
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
  const { id, pod, startedAtMs, queue, log } = options;
  const reader = { id, pod, sinceMs: startedAtMs - EVENTS_CLOCK_MARGIN_MS };
  let hasFailed = false;
  while (!signal.aborted) {
    let waitMs = EVENTS_RETRY_MS;
    try {
      const { live } = queue;
      await live?.openReader(reader);
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

/** Over early when the connection comes or goes. */
async function pause(queue: QueueLink, ms: number, signal: AbortSignal): Promise<void> {
  const hasChanged = new AbortController();
  const release = queue.onStatus(() => hasChanged.abort());
  await sleep(ms, AbortSignal.any([signal, hasChanged.signal])).finally(release);
}

/** Within its time; without NATS at once: the scaler finds them when it is back. */
async function handOverRest(options: Options, ledger: EventLedger): Promise<void> {
  const { live } = options.queue;
  if (!live) return;
  const isOver = new AbortController();
  const handing = handOverAll(live, options, { ledger, signal: isOver.signal });
  await Promise.race([handing, sleep(HAND_OVER_MS, isOver.signal)]).finally(() => isOver.abort());
}

async function handOverAll(
  queue: Queue,
  options: EventsOptions,
  { ledger, signal }: { readonly ledger: EventLedger; readonly signal: AbortSignal },
): Promise<void> {
  const { id, pod, log } = options;
  try {
    const isDone = (payload: Uint8Array): boolean => isFinished(ledger, payload);
    const sinceMs = options.startedAtMs - EVENTS_CLOCK_MARGIN_MS;
    const count = await queue.handOver({ id, pod, isDone, sinceMs, signal });
    if (count > 0) log.info({ count }, 'events handed over to the queue');
  } catch (error) {
    log.warn({ error: describeError(error) }, 'events are left for the scaler to hand over');
  }
}

function isFinished(ledger: EventLedger, payload: Uint8Array): boolean {
  try {
    return ledger.isFinished(decodeJob(payload).head.secret);
  } catch {
    return true; // nobody could read it elsewhere either
  }
}
