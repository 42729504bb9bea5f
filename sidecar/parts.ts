/**
 * Builds what a sidecar is made of, from its configuration. Nothing here listens, probes or sends anything yet
 * (start.ts does, in its order). Each piece that must be stopped puts its stop on the stack.
 */
import { STOP_LIMIT_MS, StopStack } from '../common/runtime/lifecycle.ts';
import { troubleText, type ReadyMessage } from '../common/bus/messages.ts';
import type { NatsLink } from '../common/bus/nats.ts';
import { functionSubject, type FunctionId } from '../common/bus/subjects.ts';
import type { AdminContext } from './admin/admin.ts';
import { AppDown } from './app/app-down.ts';
import { AppTrouble } from './app/app-trouble.ts';
import { Announcer } from './life/announcer.ts';
import { DEFAULT_POLICIES, type RetryPolicy } from '../common/call/policy.ts';
import { parseCallPolicy } from './call/call-policy.ts';
import type { SidecarContext } from './context.ts';
import { Drain, type OutliveApp } from './life/drain.ts';
import { EventsPart } from './events/events-part.ts';
import { JobStats } from './jobs/ending/job-stats.ts';
import { JobsPart } from './jobs/jobs-part.ts';
import type { JobsOptions } from './jobs/start-jobs.ts';
import { OpenTunnels } from './call/open-tunnels.ts';
import { checkApp, waitForAppGone } from './app/app-probe.ts';
import { Pause, type PauseOptions } from './life/pause.ts';
import { checkTcp } from './app/probe-checks.ts';
import { tellProxy } from './life/ready-by-http.ts';
import { parseReadiness, type Readiness } from './app/readiness.ts';
import { Reporter } from './admin/report.ts';
import { Shares } from './limits/shares.ts';
import type { SidecarConfig, SidecarDeps } from './config.ts';
import { type Core, buildCore, type PartsDeps } from './core.ts';

export interface Parts {
  readonly stops: StopStack;
  readonly context: SidecarContext;
  readonly adminContext: AdminContext;
  readonly tunnels: OpenTunnels;
  readonly announcer: Announcer;
  readonly trouble: AppTrouble;
  readonly jobs: JobsPart;
  readonly events: EventsPart;
  readonly readiness: Readiness;
  /** What opens admission after the app's container was restarted, and after a drain that was taken back. */
  readonly onReopen: (open: (hasDrained: boolean) => Promise<void>) => void;
}

export interface OwnPorts {
  readonly data: number;
  readonly admin: number;
}

/**
 * @param ports where the sidecar listens, asked for when it is announced
 * @throws UsageError for a value that cannot be used
 */
export function buildParts(config: SidecarConfig, deps: PartsDeps, ports: () => OwnPorts): Parts {
  const readiness = parseReadiness(config.probes, config['readiness-probe'], config['app-port']);
  const core = buildCore(config, deps);
  const stops = new StopStack(deps.log, config['drain-seconds'] * 1_000 + STOP_LIMIT_MS);
  // Stopped last first: NATS goes last, when the reporter has said its last word.
  stops.add('NATS', () => deps.nats.stop());
  stops.add('place lines', () => core.placeLines.stop());
  const reporting = buildReporting(config, deps.nats, core, () => ports().data);
  stops.add('reports', () => reporting.reporter.stop());
  stops.add('announcements', () => reporting.announcer.stop());
  const shares = buildShares(config, deps, core, reporting.reporter);
  const subject = functionSubject('share', core.id);
  stops.add(
    'shares',
    deps.nats.subscribe(subject, (_, data) => shares.hear(data)),
  );
  const drain = buildDrain(
    config,
    deps,
    core,
    () => {
      reporting.announcer.announce('draining');
      core.tunnels.closeAll();
      jobs.drain();
      events.drain();
      return () => void Promise.all([jobs.stop(), events.stop()]);
    },
    () => void comeBack(),
  );
  let reopen = async (_hasDrained: boolean): Promise<void> => undefined;
  const appDown = buildAppDown(config, deps, core, () => reopen(false));
  stops.add('app watch', () => appDown.stop());
  const trouble = buildTrouble(deps, core, reporting.reporter);
  const context = { ...core, reporter: reporting.reporter, drain, appDown, trouble };
  const jobStats = new JobStats(core.stats);
  const eventStats = new JobStats(core.stats);
  const self = () => ({ pod: config['pod-name'], host: config['pod-ip'], port: ports().admin });
  const jobs = buildJobs(config, deps, { id: core.id, shares, context, stats: jobStats, self });
  const events = buildEvents(config, deps, { id: core.id, shares, context, stats: eventStats });
  const { admission } = core;
  const running = { stats: jobStats, events: eventStats, running: () => admission.jobs };
  const comeBack = async (): Promise<void> => {
    await Promise.all([jobs.reset(), events.reset()]);
    admission.reset();
    await reopen(true);
  };
  const pause = buildPause(config, deps, { admission, drain, readiness, reopen: () => reopen(false) });
  const adminContext = adminContextOf(config, deps, core, { drain, pause, shares, running });
  return {
    stops,
    context,
    adminContext,
    tunnels: core.tunnels,
    announcer: reporting.announcer,
    trouble,
    jobs,
    events,
    readiness,
    onReopen: (open) => void (reopen = open),
  };
}

function buildReporting(config: SidecarConfig, nats: NatsLink, core: Core, port: () => number) {
  const pod = config['pod-name'];
  const { stats, admission, id } = core;
  const { breaker } = admission;
  const start = Date.now();
  const subject = functionSubject('activity', id);
  const reporter = new Reporter({ pod, start, subject, nats, breaker, stats, jobs: () => admission.jobs });
  const self = () => ({ pod, ip: config['pod-ip'], port: port(), start });
  const place = { url: config.proxy, address: config['proxy-address'] };
  const sayDirectly = (message: Uint8Array, state: ReadyMessage['state']): void => {
    core.placeLines.announce(message);
    if (state === 'ready') void tellProxy(place, id, message);
  };
  const options = { sayDirectly, token: config['drain-token'] };
  return { reporter, announcer: new Announcer(nats, functionSubject('ready', id), self, options) };
}

function buildShares(
  config: SidecarConfig,
  { log }: SidecarDeps,
  { admission }: Core,
  reporter: Reporter,
): Shares {
  const options = {
    pod: config['pod-name'],
    parallelPerPod: config['parallel-per-pod'],
    parallelLimit: config['parallel-limit'],
    log,
  };
  return new Shares(options, (limit) => {
    admission.setLimit(limit);
    reporter.limitChanged();
  });
}

/** @param begin tells everyone who must know that the drain begins; returns what is to be done at its end */
function buildDrain(
  config: SidecarConfig,
  { log }: SidecarDeps,
  core: Core,
  begin: () => () => void,
  onComeBack: () => void,
): Drain {
  let end = (): void => undefined;
  return new Drain({
    admission: core.admission,
    inFlight: core.inFlight,
    stats: core.stats,
    drainMs: config['drain-seconds'] * 1_000,
    log,
    onBegin: () => (end = begin()),
    onEnd: () => end(),
    onComeBack,
    outliveApp: core.app.port === 0 ? 'no' : (config['outlive-app'] as OutliveApp),
    appGone: (signal) => waitForAppGone(core.app, signal),
  });
}

/** On loopback: a port that takes longer is not listening. */
const LISTENING_MS = 1_000;

function buildAppDown(
  config: SidecarConfig,
  { log }: SidecarDeps,
  { admission }: Core,
  reopen: () => Promise<void>,
): AppDown {
  const isListening = () => checkTcp(config['app-host'], config['app-port'], LISTENING_MS);
  return new AppDown({ admission, isListening, reopen, log });
}

/** Tells proxies, over their place lines and over NATS, why the app takes no calls. */
function buildTrouble({ log }: SidecarDeps, { placeLines }: Core, reporter: Reporter): AppTrouble {
  return new AppTrouble({
    log,
    tell(why) {
      const short = why === undefined ? undefined : troubleText(why);
      placeLines.tellTrouble(short);
      reporter.tellTrouble(short);
    },
  });
}

interface PauseParts extends Pick<PauseOptions, 'admission' | 'drain' | 'reopen'> {
  readonly readiness: Readiness;
}

function buildPause(config: SidecarConfig, { log }: SidecarDeps, { readiness, ...parts }: PauseParts): Pause {
  const check = () => checkApp(readiness, config['app-host']);
  return new Pause({ ...parts, check, graceMs: config['drain-seconds'] * 1_000, log });
}

interface AdminParts {
  readonly drain: Drain;
  readonly pause: Pause;
  readonly shares: Shares;
  readonly running: AdminContext['jobs'];
}

function adminContextOf(
  config: SidecarConfig,
  { registry }: SidecarDeps,
  { id, identity, placeLines, admission, stats }: Core,
  { drain, pause, shares, running }: AdminParts,
): AdminContext {
  return {
    id,
    placeLines,
    servePlaces: {
      lines: placeLines,
      identity: identity ?? '',
      onShare: (data: Uint8Array) => shares.hearFromProxy(data),
    },
    pause,
    breaker: admission.breaker,
    stats,
    registry,
    drain,
    drainToken: config['drain-token'],
    jobs: running,
  };
}

interface JobParts {
  readonly id: FunctionId;
  readonly shares: Shares;
  readonly context: SidecarContext;
  readonly stats: JobStats;
}

function buildJobs(
  config: SidecarConfig,
  { nats, log }: SidecarDeps,
  parts: JobParts & Pick<JobsOptions, 'self'>,
): JobsPart {
  return new JobsPart({
    ...parts,
    pod: config['pod-name'],
    nats,
    log,
    policy: parseCallPolicy('async-policy', config['async-policy'], DEFAULT_POLICIES.async),
    eventPolicy: publishPolicyOf(config),
    jitter: config['retry-jitter'] / 100,
    isOrdered: config.ordered,
  });
}

function buildEvents(config: SidecarConfig, { nats, log }: SidecarDeps, parts: JobParts): EventsPart {
  if (config['subscribe-events'].length === 0) return new EventsPart(undefined);
  return new EventsPart({
    ...parts,
    pod: config['pod-name'],
    nats,
    log,
    policy: publishPolicyOf(config),
    jitter: config['retry-jitter'] / 100,
    startedAtMs: Date.now(),
  });
}

function publishPolicyOf(config: SidecarConfig): RetryPolicy {
  return parseCallPolicy('publish-policy', config['publish-policy'], DEFAULT_POLICIES.publish);
}
