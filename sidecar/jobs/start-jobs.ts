/** The pod's share in asynchronous jobs, put together. Loaded once the app is ready: no cold start waits for it. */
import { jetStreamQueue } from '../../common/queue/jetstream/link.ts';
import { JobConsumer, type QueueSession } from './consumer.ts';
import { Records } from './ending/records.ts';
import type { RunningAt } from '../../common/queue/state.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';
import type { SidecarContext } from '../context.ts';
import type { Shares } from '../limits/shares.ts';
import { Callbacks, serveQuestions } from './callbacks.ts';
import { EarlierRuns } from './earlier-run.ts';
import type { JobStats } from './ending/job-stats.ts';
import { Outcomes } from './ending/outcomes.ts';
import { placesOf } from './places.ts';
import { JobRunner, type RunnerDeps } from './runner.ts';

export interface JobsOptions {
  readonly id: FunctionId;
  readonly pod: string;
  readonly policy: RetryPolicy;
  readonly eventPolicy: RetryPolicy;
  /** 0 to 1, see verdict.ts. */
  readonly jitter: number;
  readonly isOrdered: boolean;
  /** This sidecar's admin server, by which other pods see whether it is there. */
  readonly self: Omit<RunningAt, 'startedAtMs'>;
  readonly nats: NatsLink;
  readonly shares: Pick<Shares, 'isKnown'>;
  readonly context: Pick<SidecarContext, 'app' | 'relay' | 'admission' | 'inFlight' | 'reporter'>;
  readonly stats: JobStats;
  readonly log: Log;
}

/** Jobs as they run; stopped, those that run are given back. */
export interface RunningJobs extends Running {
  /** No new ones. */
  drain(): void;
}

export function startJobs(options: JobsOptions): RunningJobs {
  const { id, nats, context, log } = options;
  const queue = jetStreamQueue(nats, id);
  const callbacks = new Callbacks(options.pod);
  const earlier = new EarlierRuns({
    ...options,
    httpTimeoutMs: options.policy.httpTimeoutMs,
    now: Date.now,
  });
  const endAnswering = serveQuestions({ id, nats, callbacks, log });
  const outcomes = new Outcomes({ ...options, queue, inFlight: context.inFlight, callbacks, now: Date.now });
  options.stats.untold = () => outcomes.size;
  const consumer = new JobConsumer({
    source: { kind: 'jobs', id },
    queue,
    fairness: context.admission.fairness,
    // In strict order one job runs in a pod, whatever its limit.
    places: placesOf(options, options.isOrdered ? 1 : Infinity),
    heldUpTo: () => earlier.heldUpTo(),
    createRunner: (session) => createRunner(options, { callbacks, outcomes, earlier }, session),
    log,
  });
  return {
    drain: () => consumer.drain(),
    async stop() {
      endAnswering();
      const stopped = consumer.stop();
      callbacks.end(); // what waits for one is given back, and only then is everything stopped
      await stopped;
      await outcomes.stop();
    },
  };
}

function createRunner(
  options: JobsOptions,
  own: Pick<RunnerDeps, 'callbacks' | 'outcomes' | 'earlier'>,
  session: QueueSession,
): JobRunner {
  const { id, pod, policy, eventPolicy, jitter, isOrdered, self, context, stats, log } = options;
  return new JobRunner({
    pod,
    policy,
    eventPolicy,
    jitter,
    ...own,
    isOrdered,
    self,
    stats,
    log,
    session,
    app: context.app,
    relay: context.relay,
    records: new Records(id, session, isOrdered),
    now: Date.now,
  });
}
