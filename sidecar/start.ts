/**
 * The sidecar, put together: everything that comes from outside the process is an argument, and the order of
 * making, starting and stopping stands here. It listens as soon as calls can be taken; everything that is not needed
 * for that comes after, because each millisecond before belongs to a caller that waits for this pod.
 */
import { functionSubject } from '../common/bus/subjects.ts';
import { STOP_LIMIT_MS, StopStack, type Running } from '../common/runtime/lifecycle.ts';
import { createAdminServer } from './admin/admin-server.ts';
import { openAppHop } from './app/app-hop.ts';
import type { AppReady } from './app/app-probe.ts';
import { parseReadiness, type AppReadiness } from './app/readiness.ts';
import { createDataServer } from './call/data-server.ts';
import { policiesOf } from './call/policies.ts';
import type { SidecarConfig, SidecarDeps } from './config.ts';
import { buildCore, type Core } from './core.ts';
import { countDirectTraffic } from './direct/on-demand.ts';
import type { EventsPart } from './events/events-part.ts';
import { JobStats } from './jobs/ending/job-stats.ts';
import type { JobsPart } from './jobs/jobs-part.ts';
import type { CallsFirst } from './life/calls-first.ts';
import { giveMemoryBackWhenIdle } from './life/idle-memory.ts';
import { listen } from './life/listener.ts';
import * as build from './parts.ts';

export interface RunningSidecar extends Running {
  readonly port: number;
  readonly adminPort: number;
  /** Resolves when the app has passed its probe, or there is none to pass. */
  readonly appReady: Promise<void>;
  /** Resolves when no caller waits any more for what does not need NATS; see life/calls-first.ts. */
  readonly callsFirst: Promise<void>;
}

/**
 * Resolves when it listens; the app may not be ready by then.
 * @throws UsageError for a value that cannot be used
 */
export async function startSidecar(config: SidecarConfig, deps: SidecarDeps): Promise<RunningSidecar> {
  const { log } = deps;
  const readiness = parseReadiness(config.probes, config['readiness-probe'], config['app-port']);
  const policies = policiesOf(config);
  const way = await openAppHop(config['app-protocol'], config['app-tls']);
  const core = buildCore(config, { ...deps, ...way, policies });
  const stops = new StopStack(log, config['drain-seconds'] * 1_000 + STOP_LIMIT_MS);
  const calls = buildCallSide(config, deps, { core, readiness, stops });
  const ports = await openPorts(config, deps, { core, calls, stops });
  const { drain, opening } = calls;
  stops.add('idle memory', giveMemoryBack(core, deps));
  stops.add('app probe', () => opening.stop());
  const callsFirst = build.buildCallsFirst(config, core, ports.data);
  const announcer = build.buildAnnouncer(config, deps, core, { callsFirst, port: ports.data });
  stops.add('announcements', () => announcer.stop());
  const work = { ...calls, policies };
  const jobs = build.buildJobs(config, deps, work, ports.admin);
  stops.add('jobs', () => jobs.stop());
  const events = build.buildEvents(config, deps, work);
  stops.add('events', () => events.stop());

  drain.follow({ begin: () => announcer.announce('draining') });
  drain.follow({ begin: () => callsFirst.end() });
  drain.follow({ begin: () => core.tunnels.closeAll() });
  drain.follow(build.drainsWork(jobs));
  drain.follow(build.drainsWork(events));
  opening.onOpen(({ how, hasDrained }) => {
    // Taken back by its own report, also where it is for Kubernetes to call the pod ready.
    if (how === 'passed' || hasDrained) announcer.announce('ready');
  });
  if (config['app-port'] !== 0)
    opening.onOpen(({ how }) => void fetchWork(how, { config, deps, calls, jobs, events, callsFirst }));

  const appReady = opening.open();
  stops.add('drain', () => drain.end());
  log.info({ function: config.function, port: ports.data, appPort: config['app-port'] }, 'listening');
  stops.add('direct traffic', countDirectTraffic(config, log, core, ports));
  const own = { port: ports.data, adminPort: ports.admin };
  return { ...own, stop: () => stops.stop(), appReady, callsFirst: callsFirst.over };
}

interface CallSideParts {
  readonly core: Core;
  readonly readiness: AppReadiness;
  readonly stops: StopStack;
}

type CallSide = ReturnType<typeof buildCallSide>;

/** What a call needs, from the two ports to the app. Stopped last: NATS goes when the reporter has sent its last report. */
function buildCallSide(config: SidecarConfig, deps: SidecarDeps, { core, readiness, stops }: CallSideParts) {
  stops.add('NATS', () => deps.nats.stop());
  stops.add('place lines', () => core.placeLines.stop());
  const reporter = build.buildReporter(config, deps, core);
  stops.add('reports', () => reporter.stop());
  const trouble = build.buildTrouble(deps, core, reporter);
  const opening = build.buildOpening(config, deps, core, { readiness, trouble, reporter });
  const drain = build.buildDrain(config, deps, core, opening);
  const appDown = build.buildAppDown(config, deps, core, opening);
  stops.add('app watch', () => appDown.stop());
  const shares = build.buildShares(config, deps, core, reporter);
  const subject = functionSubject('share', core.id);
  stops.add(
    'shares',
    deps.nats.subscribe(subject, (_, data) => shares.hear(data)),
  );
  const pause = build.buildPause(config, deps, core, { drain, opening, readiness });
  const workStats = { jobs: new JobStats(core.stats), events: new JobStats(core.stats) };
  const context = { ...core, reporter, drain, appDown, trouble };
  const admin = build.adminContextOf(config, deps, core, { drain, pause, shares, workStats });
  return { context, admin, opening, drain, shares, workStats };
}

interface PortParts {
  readonly core: Core;
  readonly calls: CallSide;
  readonly stops: StopStack;
}

async function openPorts(
  config: SidecarConfig,
  { log }: SidecarDeps,
  { core, calls, stops }: PortParts,
): Promise<build.OwnPorts> {
  const { context } = calls;
  try {
    const admin = await listen(createAdminServer(calls.admin, log), config.host, config['admin-port']);
    stops.add('admin server', () => admin.close());
    const data = await listen(createDataServer(context, core.tunnels), config.host, config.port);
    stops.add('connections to the app', () => core.relay.close());
    stops.add('data server', () => data.close());
    stops.add('tunnels', () => core.tunnels.destroyAll());
    const accepted = (): number => admin.accepted() + data.accepted();
    return { admin: admin.port, data: data.port, accepted };
  } catch (error) {
    await stops.stop(); // a port is taken: nothing of us may stay
    throw error;
  }
}

function giveMemoryBack({ inFlight, stats }: Core, { log }: SidecarDeps): () => void {
  return giveMemoryBackWhenIdle({ isBusy: () => inFlight.count > 0, ended: () => stats.ended, log });
}

interface Fetching {
  readonly config: SidecarConfig;
  readonly deps: SidecarDeps;
  readonly calls: CallSide;
  readonly jobs: JobsPart;
  readonly events: EventsPart;
  readonly callsFirst: CallsFirst;
}

/** Jobs and events are fetched, so the sidecar itself must know that the pod is ready. For calls a proxy knows it. */
async function fetchWork(how: AppReady, parts: Fetching): Promise<void> {
  const { config, deps, calls, jobs, events, callsFirst } = parts;
  if (how === 'kubernetes') {
    const { waitForKubeReady } = await import('./life/kube-ready.ts');
    const self = { id: calls.context.id, pod: config['pod-name'] };
    const asksOlder = config.auth === 'off';
    const { stopping: signal } = calls.opening;
    if (!(await waitForKubeReady({ nats: deps.nats, self, asksOlder, signal }))) return;
  }
  void events.start(); // without waiting: what came for this pod is handed over when it ends
  await callsFirst.over;
  void jobs.start();
}
