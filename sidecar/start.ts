/**
 * The sidecar, put together: everything that comes from outside the process is an argument, and the order of
 * starting and stopping stands here. It listens first; everything that is not needed to accept a call comes
 * after, because each millisecond before belongs to a caller who waits for this pod.
 */
import type { FlagValues } from '../common/flags.ts';
import { StopStack, type Running } from '../common/lifecycle.ts';
import type { Log } from '../common/log.ts';
import type { Registry } from '../common/metrics.ts';
import type { NatsLink } from '../common/nats.ts';
import { createRelay } from '../common/relay/index.ts';
import { functionSubject, type FunctionId } from '../common/subjects.ts';
import { createAdminServer } from './admin-server.ts';
import { Admission } from './admission.ts';
import { Announcer } from './announcer.ts';
import { startAppProbe } from './app-probe.ts';
import { DEFAULT_ASYNC_POLICY, DEFAULT_SYNC_POLICY, parseCallPolicy } from './call-policy.ts';
import { createDataServer } from './data-server.ts';
import { Drain } from './drain.ts';
import type { sidecarFlags } from './flags.ts';
import { InFlight } from './in-flight.ts';
import { Fairness } from './jobs/fairness.ts';
import { JobStats } from './jobs/job-stats.ts';
import { JobsPart } from './jobs/jobs-part.ts';
import { listen } from './listener.ts';
import { OpenTunnels } from './open-tunnels.ts';
import { parseProbe } from './probe-spec.ts';
import { Reporter } from './report.ts';
import { Shares } from './shares.ts';
import { Stats } from './stats.ts';

export type SidecarConfig = FlagValues<typeof sidecarFlags>;

export interface SidecarDeps {
  readonly log: Log;
  /** Closed by {@link Running.stop}, after the last report. */
  readonly nats: NatsLink;
  /** Asked for at the first scrape. */
  readonly registry: Registry | (() => Promise<Registry>);
}

export interface RunningSidecar extends Running {
  readonly port: number;
  readonly adminPort: number;
  /** Resolves when the app has passed its probe, or there is none to pass. */
  readonly appReady: Promise<void>;
}

/** Resolves when it listens; the app may not be ready by then. */
export async function startSidecar(config: SidecarConfig, deps: SidecarDeps): Promise<RunningSidecar> {
  let port = config.port;
  const parts = buildParts(config, deps, () => port);
  const { stops, context } = parts;
  const listeners = await openPorts(config, deps, parts);
  port = listeners.data.port;
  const probing = new AbortController();
  stops.add('app probe', () => probing.abort());
  const appReady = startAppProbe(parts.probe, config['app-host'], probing.signal).then((how) => {
    if (how === 'stopped') return;
    deps.log.info({ how, sinceStartMs: Math.round(performance.now()) }, 'app ready');
    context.admission.open();
    context.reporter.limitChanged();
    if (how === 'passed') parts.announcer.announce('ready');
    if (config['app-port'] > 0) void parts.jobs.start();
  });
  stops.add('jobs', () => parts.jobs.stop());
  stops.add('drain', () => context.drain.run());
  deps.log.info({ function: config.function, port, limit: parts.shares.limit }, 'listening');
  return { stop: () => stops.stop(), port, adminPort: listeners.admin.port, appReady };
}

type Parts = ReturnType<typeof buildParts>;

async function openPorts(config: SidecarConfig, { log }: SidecarDeps, parts: Parts) {
  const { stops, context, tunnels, adminContext } = parts;
  try {
    const admin = await listen(createAdminServer(adminContext, log), config.host, config['admin-port']);
    stops.add('admin server', () => admin.close());
    const data = await listen(createDataServer(context, tunnels), config.host, config.port);
    stops.add('connections to the app', () => context.relay.close());
    stops.add('data server', () => data.close());
    stops.add('tunnels', () => tunnels.destroyAll());
    return { admin, data };
  } catch (error) {
    await stops.stop(); // a port is taken: nothing of us may stay
    throw error;
  }
}

function buildParts(config: SidecarConfig, { log, nats, registry }: SidecarDeps, port: () => number) {
  const id: FunctionId = { namespace: config.namespace, name: config.function };
  const pod = config['pod-name'];
  const policy = parseCallPolicy('sync-policy', config['sync-policy'], DEFAULT_SYNC_POLICY);
  const probe = parseProbe(config['readiness-probe'], config['app-port']);
  const stops = new StopStack(log);
  const stats = new Stats();
  const inFlight = new InFlight();
  const tunnels = new OpenTunnels();
  const shares = new Shares(
    { pod, parallelPerPod: config['parallel-per-pod'], parallelLimit: config['parallel-limit'], log },
    (limit) => {
      admission.setLimit(limit);
      reporter.limitChanged();
    },
  );
  const admission = new Admission({
    limit: shares.limit,
    queueLimit: config['queue-limit'],
    queueTimeoutMs: config['queue-timeout-seconds'] * 1_000,
    fairness: new Fairness(config['job-share'] / 100),
  });
  const { breaker } = admission;
  const reporter = new Reporter({ pod, subject: functionSubject('activity', id), nats, breaker, stats });
  const announcer = new Announcer(nats, functionSubject('ready', id), () => ({
    pod,
    ip: config['pod-ip'],
    port: port(),
  }));
  const onBegin = (): void => {
    announcer.announce('draining');
    tunnels.closeAll();
    jobs.drain();
  };
  const drain = new Drain({
    admission,
    inFlight,
    stats,
    drainMs: config['drain-seconds'] * 1_000,
    log,
    onBegin,
    onEnd: () => void jobs.stop(),
  });
  // Stopped last first: NATS goes last, when the reporter has said its last word.
  stops.add('NATS', () => nats.stop());
  stops.add('reports', () => reporter.stop());
  stops.add('announcements', () => announcer.stop());
  stops.add(
    'shares',
    nats.subscribe(functionSubject('share', id), (_, data) => shares.hear(data)),
  );
  const app = { host: config['app-host'], port: config['app-port'] };
  const context = { app, policy, relay: createRelay(), admission, inFlight, stats, reporter, drain };
  const jobStats = new JobStats(stats);
  const jobs = new JobsPart({
    id,
    pod,
    nats,
    shares,
    context,
    log,
    stats: jobStats,
    policy: parseCallPolicy('async-policy', config['async-policy'], DEFAULT_ASYNC_POLICY),
    isOrdered: config.ordered,
  });
  const adminContext = {
    id,
    breaker,
    stats,
    registry,
    drain,
    jobs: { stats: jobStats, running: () => admission.jobs },
  };
  return { stops, context, adminContext, tunnels, announcer, probe, shares, jobs };
}
