/**
 * The pod's share in events, put together. It has its own consumer on the stream of events, which is run as jobs are.
 * What is left at the pod's end is handed over. Loaded once the app is ready: no cold start waits for it.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { ensurePodConsumer } from '../../common/queue/jetstream/pod-consumer.ts';
import { AckedPublisher } from '../../common/queue/jetstream/acked-publisher.ts';
import { decodeJob } from '../../common/queue/job.ts';
import { EVENTS_STREAM } from '../../common/queue/jetstream/streams.ts';
import { sleep, type Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { NatsConnection, NatsLink } from '../../common/bus/nats.ts';
import { eventConsumerName, type FunctionId } from '../../common/bus/subjects.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';
import type { SidecarContext } from '../context.ts';
import { JobConsumer } from '../jobs/consumer.ts';
import type { JobStats } from '../jobs/ending/job-stats.ts';
import { placesOf } from '../jobs/places.ts';
import type { Shares } from '../limits/shares.ts';
import { EventRunner } from './event-runner.ts';
import { handOver } from '../../common/queue/jetstream/hand-over.ts';
import { EventLedger } from './ledger.ts';

export interface EventsOptions {
  readonly id: FunctionId;
  readonly pod: string;
  readonly policy: RetryPolicy;
  /** 0 to 1, see verdict.ts. */
  readonly jitter: number;
  /** Of the pod: what was published before concerns others. */
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
const LOOK_MS = 30_000;
/** There is no stream before the scaler has made it, and no server while it is away. */
const AGAIN_MS = 1_000;
/** Clocks of two nodes differ; an event of these seconds may come to a pod that did not need it. */
const CLOCK_MARGIN_MS = 5_000;
/** What the pod's grace period has left at the end of its drain; the scaler does what is not done by then. */
const HAND_OVER_MS = 1_500;

export function startEvents(options: EventsOptions): RunningEvents {
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
function consume(options: EventsOptions, ledger: EventLedger): JobConsumer {
  const { nats, context, log } = options;
  const { app, relay, admission } = context;
  return new JobConsumer({
    source: { stream: EVENTS_STREAM, consumer: consumerOf(options) },
    nats,
    fairness: {
      get areJobsWaiting() {
        return admission.fairness.areEventsWaiting;
      },
      set areJobsWaiting(value) {
        admission.fairness.areEventsWaiting = value;
      },
    },
    places: placesOf(options),
    createRunner: ({ jsm }) => new EventRunner({ ...options, app, relay, ledger, jsm, now: Date.now }),
    log,
  });
}

/** @param onThere whenever the pod's consumer was found or made */
async function keepConsumer(options: EventsOptions, signal: AbortSignal, onThere: () => void): Promise<void> {
  const { id, pod, startedAtMs, nats, log } = options;
  const reader = { id, pod, sinceMs: startedAtMs - CLOCK_MARGIN_MS };
  let hasFailed = false;
  while (!signal.aborted) {
    let waitMs = AGAIN_MS;
    try {
      const jsm = await nats.connection?.jetstreamManager({ checkAPI: false });
      if (jsm) await ensurePodConsumer(jsm, reader);
      if (jsm && !signal.aborted) onThere();
      if (jsm) waitMs = LOOK_MS;
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) log.warn({ error: describeError(error) }, 'no events yet; trying again');
      hasFailed = true;
    }
    await pause(nats, waitMs, signal);
  }
}

/** Over early when the connection comes or goes. */
async function pause(nats: NatsLink, ms: number, signal: AbortSignal): Promise<void> {
  const hasChanged = new AbortController();
  const release = nats.onStatus(() => hasChanged.abort());
  await sleep(ms, AbortSignal.any([signal, hasChanged.signal])).finally(release);
}

/** Within its time; without NATS at once: the scaler finds them when it is back. */
async function handOverRest(options: EventsOptions, ledger: EventLedger): Promise<void> {
  const { connection } = options.nats;
  if (!connection) return;
  const isOver = new AbortController();
  const handing = handOverAll(connection, options, { ledger, signal: isOver.signal });
  await Promise.race([handing, sleep(HAND_OVER_MS, isOver.signal)]).finally(() => isOver.abort());
}

async function handOverAll(
  connection: NatsConnection,
  options: EventsOptions,
  { ledger, signal }: { readonly ledger: EventLedger; readonly signal: AbortSignal },
): Promise<void> {
  const { id, log } = options;
  try {
    const jsm = await connection.jetstreamManager({ checkAPI: false });
    const isDone = (payload: Uint8Array): boolean => isFinished(ledger, payload);
    const sinceMs = options.startedAtMs - CLOCK_MARGIN_MS;
    const what = { id, consumer: consumerOf(options), isDone, sinceMs, signal };
    const count = await handOver({ jsm, publisher: AckedPublisher.of(connection) }, what);
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

function consumerOf({ id, pod }: EventsOptions): string {
  return eventConsumerName(id.namespace, pod);
}
