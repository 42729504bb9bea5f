/**
 * How each piece of a sidecar is made from its configuration and from the pieces before it. The order, and what
 * follows what, is in start.ts.
 */
import { encodeMessage, troubleText, type ReadyMessage } from '../common/bus/messages.ts';
import { proveReady } from '../common/places/ready-proof.ts';
import { functionSubject, podSubject, type FunctionId, type PodSubjectKind } from '../common/bus/subjects.ts';
import type { AdminContext } from './admin/admin.ts';
import { Reporter } from './admin/report.ts';
import { AppDown } from './app/app-down.ts';
import { checkApp, waitForAppGone } from './app/app-probe.ts';
import { AppTrouble } from './app/app-trouble.ts';
import { checkTcp } from './app/probe-checks.ts';
import type { AppReadiness } from './app/readiness.ts';
import { proofOf } from './call/caller-check.ts';
import type { Policies } from './call/policies.ts';
import type { SidecarConfig, SidecarDeps } from './config.ts';
import type { SidecarContext } from './context.ts';
import type { Core } from './core.ts';
import { EventsPart } from './events/events-part.ts';
import type { JobStats } from './jobs/ending/job-stats.ts';
import { JobsPart } from './jobs/jobs-part.ts';
import { Announcer } from './life/announcer.ts';
import { Drain, type DrainFollower, type OutliveApp } from './life/drain.ts';
import { Opening } from './life/opening.ts';
import { Pause } from './life/pause.ts';
import { CallsFirst } from './life/calls-first.ts';
import { tellProxy, type ProxyPlace } from './life/ready-by-http.ts';
import { Shares } from './limits/shares.ts';

export interface OwnPorts {
  readonly data: number;
  readonly admin: number;
  /** Connections that both have accepted since the start. */
  readonly accepted: () => number;
}

/**
 * Where NATS knows who speaks, the subject names the pod. Elsewhere there may be proxies and scalers of a version
 * before, which listen for no pod.
 */
function spokenSubject(kind: PodSubjectKind, config: SidecarConfig, id: FunctionId): string {
  return config.auth === 'off' ? functionSubject(kind, id) : podSubject(kind, id, config['pod-name']);
}

export function buildReporter(config: SidecarConfig, { nats }: SidecarDeps, core: Core): Reporter {
  const { stats, admission, id, startedAtMs } = core;
  return new Reporter({
    pod: config['pod-name'],
    start: startedAtMs,
    subject: spokenSubject('activity', config, id),
    nats,
    breaker: admission.breaker,
    stats,
    jobs: () => admission.jobs,
  });
}

/** Tells proxies, over their place lines and over NATS, why the app takes no calls. */
export function buildTrouble({ log }: SidecarDeps, { placeLines }: Core, reporter: Reporter): AppTrouble {
  return new AppTrouble({
    log,
    tell(why) {
      const short = why === undefined ? undefined : troubleText(why);
      placeLines.tellTrouble(short);
      reporter.tellTrouble(short);
    },
  });
}

export interface OpeningParts {
  readonly readiness: AppReadiness;
  readonly trouble: AppTrouble;
  readonly reporter: Reporter;
}

export function buildOpening(
  config: SidecarConfig,
  { log }: SidecarDeps,
  { admission }: Core,
  { reporter, ...parts }: OpeningParts,
): Opening {
  const limitChanged = () => reporter.limitChanged();
  return new Opening({ ...parts, host: config['app-host'], admission, limitChanged, log });
}

export function buildDrain(config: SidecarConfig, { log }: SidecarDeps, core: Core, opening: Opening): Drain {
  return new Drain({
    admission: core.admission,
    inFlight: core.inFlight,
    stats: core.stats,
    drainMs: config['drain-seconds'] * 1_000,
    settleMs: config['drain-settle-seconds'] * 1_000,
    log,
    reopen: () => opening.open({ hasDrained: true }),
    outliveApp: core.app.port === 0 ? 'no' : (config['outlive-app'] as OutliveApp),
    appGone: (signal) => waitForAppGone(core.app, signal),
  });
}

/** On loopback: a port that takes longer is not listening. */
const LISTENING_MS = 1_000;

export function buildAppDown(
  config: SidecarConfig,
  { log }: SidecarDeps,
  { admission }: Core,
  opening: Opening,
): AppDown {
  const isListening = () => checkTcp(config['app-host'], config['app-port'], LISTENING_MS);
  return new AppDown({ admission, isListening, reopen: () => opening.open(), log });
}

export function buildShares(
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

export interface PauseParts {
  readonly drain: Drain;
  readonly opening: Opening;
  readonly readiness: AppReadiness;
}

export function buildPause(
  config: SidecarConfig,
  { log }: SidecarDeps,
  { admission }: Core,
  { drain, opening, readiness }: PauseParts,
): Pause {
  return new Pause({
    admission,
    drain,
    check: () => checkApp(readiness, config['app-host']),
    reopen: () => opening.open(),
    graceMs: config['drain-seconds'] * 1_000,
    log,
  });
}

export interface WorkStats {
  readonly jobs: JobStats;
  readonly events: JobStats;
}

export interface AdminParts {
  readonly drain: Drain;
  readonly pause: Pause;
  readonly shares: Shares;
  readonly workStats: WorkStats;
}

export function adminContextOf(
  config: SidecarConfig,
  { registry, nats }: SidecarDeps,
  { id, identity, callers, placeLines, admission, stats }: Core,
  { drain, pause, shares, workStats }: AdminParts,
): AdminContext {
  return {
    id,
    placeLines,
    servePlaces: {
      lines: placeLines,
      identity: identity ?? '',
      isProxys: (req) => callers.enter(req, proofOf(req)) === 'believed',
      onShare: (data: Uint8Array) => shares.hearFromProxy(data),
    },
    pause,
    breaker: admission.breaker,
    stats,
    registry,
    nats,
    drain,
    drainToken: config['drain-token'],
    jobs: { stats: workStats.jobs, events: workStats.events, running: () => admission.jobs },
  };
}

/** @param port on which proxies reach this pod */
export function buildCallsFirst(
  config: SidecarConfig,
  { id, inFlight, startedAtMs }: Core,
  port: number,
): CallsFirst {
  const token = config['drain-token'];
  return new CallsFirst({
    inFlight,
    async ask() {
      if (token === '') return { isTaken: false }; // without a proof nobody answers
      const message = { ...ownPod(config, startedAtMs, port), state: 'starting' } as const;
      return tellProxy(placeOf(config), id, encodeMessage({ ...message, proof: proveReady(token, message) }));
    },
  });
}

function ownPod(config: SidecarConfig, start: number, port: number): Omit<ReadyMessage, 'state' | 'seq'> {
  return { pod: config['pod-name'], ip: config['pod-ip'], port, start };
}

function placeOf(config: SidecarConfig): ProxyPlace {
  return { url: config.proxy, address: config['proxy-address'] };
}

export interface AnnouncerParts {
  readonly callsFirst: CallsFirst;
  /** On which proxies reach this pod. */
  readonly port: number;
}

export function buildAnnouncer(
  config: SidecarConfig,
  { nats }: SidecarDeps,
  { id, placeLines, startedAtMs }: Core,
  { callsFirst, port }: AnnouncerParts,
): Announcer {
  const pod = ownPod(config, startedAtMs, port);
  const sayDirectly = (message: Uint8Array, state: ReadyMessage['state']): void => {
    placeLines.announce(message);
    if (state === 'ready') callsFirst.telling(tellProxy(placeOf(config), id, message));
  };
  const options = { sayDirectly, token: config['drain-token'] };
  return new Announcer(nats, spokenSubject('ready', config, id), pod, options);
}

export interface WorkParts {
  readonly context: SidecarContext & Pick<Core, 'id' | 'startedAtMs'>;
  readonly shares: Shares;
  readonly policies: Policies;
  readonly workStats: WorkStats;
}

/** @param adminPort by which other pods see whether this one is there */
export function buildJobs(
  config: SidecarConfig,
  { nats, log }: SidecarDeps,
  { context, shares, policies, workStats }: WorkParts,
  adminPort: number,
): JobsPart {
  return new JobsPart({
    id: context.id,
    self: { pod: config['pod-name'], host: config['pod-ip'], port: adminPort },
    shares,
    context,
    stats: workStats.jobs,
    pod: config['pod-name'],
    nats,
    log,
    policy: policies.async,
    eventPolicy: policies.publish,
    jitter: config['retry-jitter'] / 100,
    isOrdered: config.ordered,
  });
}

export function buildEvents(
  config: SidecarConfig,
  { nats, log }: SidecarDeps,
  { context, shares, policies, workStats }: WorkParts,
): EventsPart {
  if (config['subscribe-events'].length === 0) return new EventsPart(undefined);
  return new EventsPart({
    id: context.id,
    shares,
    context,
    stats: workStats.events,
    pod: config['pod-name'],
    nats,
    log,
    policy: policies.publish,
    jitter: config['retry-jitter'] / 100,
    startedAtMs: context.startedAtMs,
    // Scalers of the version before do not hear what it asks. Where NATS asks who one is, only they may.
    mayMakeConsumer: config.auth !== 'required',
  });
}

/** Jobs and events alike. */
export function drainsWork(work: JobsPart | EventsPart): DrainFollower {
  return { begin: () => work.drain(), end: () => void work.stop(), comeBack: () => work.reset() };
}
