/** The pod's share in asynchronous jobs, put together. Loaded once the app is ready: no cold start waits for it. */
import type { Place } from '../../common/breaker.ts';
import type { Log } from '../../common/log.ts';
import type { NatsLink } from '../../common/nats.ts';
import type { FunctionId } from '../../common/subjects.ts';
import type { RetryPolicy } from '../call-policy.ts';
import type { SidecarContext } from '../context.ts';
import type { Shares } from '../shares.ts';
import { Callbacks } from './callbacks.ts';
import { JobConsumer, type JobPlaces } from './consumer.ts';
import type { JobStats } from './job-stats.ts';
import { Records } from './records.ts';
import { JobRunner } from './runner.ts';

export interface JobsOptions {
  readonly id: FunctionId;
  readonly pod: string;
  readonly policy: RetryPolicy;
  /** 0 to 1, see verdict.ts. */
  readonly jitter: number;
  readonly isOrdered: boolean;
  readonly nats: NatsLink;
  readonly shares: Pick<Shares, 'isKnown'>;
  readonly context: Pick<SidecarContext, 'app' | 'relay' | 'admission' | 'inFlight' | 'reporter'>;
  readonly stats: JobStats;
  readonly log: Log;
}

/** With a free place and a caller who was turned away for want of one: proxies are told at most this often. */
const TELL_MS = 50;

export function startJobs(options: JobsOptions): JobConsumer {
  const { id, pod, policy, jitter, nats, context, stats, log } = options;
  const callbacks = new Callbacks();
  return new JobConsumer({
    id,
    nats,
    fairness: context.admission.fairness,
    callbacks,
    places: placesOf(options),
    createRunner: (jetstream) =>
      new JobRunner({
        pod,
        policy,
        jitter,
        callbacks,
        stats,
        log,
        jetstream,
        app: context.app,
        relay: context.relay,
        records: new Records(id, jetstream),
        now: Date.now,
      }),
    log,
  });
}

function placesOf({ isOrdered, shares, context }: JobsOptions): JobPlaces {
  const { admission, inFlight, reporter } = context;
  let toldAt = -Infinity;
  const released = (): void => {
    reporter.released();
    const now = performance.now();
    if (!admission.fairness.doCallsWait || now - toldAt < TELL_MS) return;
    toldAt = now;
    reporter.send(); // who was refused for this job's sake would look again only by his own clock
  };
  const held = (place: Place): Place => {
    const endInFlight = inFlight.begin();
    return {
      arrival: place.arrival,
      release() {
        place.release();
        released();
        endInFlight();
      },
    };
  };
  return {
    get room() {
      if (!shares.isKnown) return 0; // a new pod's share of jobs is zero until it hears
      return isOrdered ? Math.min(admission.jobRoom, 1 - admission.jobs) : admission.jobRoom;
    },
    tryEnter() {
      const place = admission.tryEnterJob();
      return place && held(place);
    },
    enter: async (signal, timeoutMs) => held(await admission.enterJob(signal, timeoutMs)),
    onRoom: (listener) => admission.onRoom(listener),
  };
}
