/**
 * Puts the scaler together. What is heard (NATS, watches, HTTP) goes into the reconciler. What it wants done goes to
 * the Kubernetes API and to NATS. Nothing here decides anything.
 */
import { HostPolicy } from '../common/function/hosts.ts';
import { POD_READY_SUBJECT } from '../common/bus/pod-ready.ts';
import { answerPodReady } from './world/pod-ready.ts';
import { hostname } from 'node:os';
import type { KubeClients } from '../common/kube/client.ts';
import { createObjectFailures } from '../common/kube/object-failures.ts';
import type { OnFailedObject } from '../common/kube/watched.ts';
import { StopStack, type Running } from '../common/runtime/lifecycle.ts';
import type { Log } from '../common/runtime/log.ts';
import { decodeActivity, decodeReady, decodeShare, decodeWake } from '../common/bus/messages.ts';
import { describeError } from '../common/runtime/errors.ts';
import type { Registry } from '../common/runtime/metrics.ts';
import type { NatsLink } from '../common/bus/nats.ts';
import {
  everyFunction,
  parseFunctionSubject,
  type FunctionId,
  type FunctionSubjectKind,
} from '../common/bus/subjects.ts';
import type { Gate } from '../common/access/gate.ts';
import { ownTokenFrom } from '../common/access/own-token.ts';
import { openGate } from '../common/kube/access-reviewer.ts';
import { leaseTimesOf, type ScalerConfig } from './flags.ts';
import { createEffects } from './act/effects.ts';
import { createKubeWriter, createLeaseStore, scalerClients } from './world/kube.ts';
import { watchCluster, type ClusterHandlers } from './world/kube-watch.ts';
import { startElection, type Election } from './world/lease.ts';
import { Load } from './load/load.ts';
import { createScalerMetrics } from './status/metrics.ts';
import { addQueryRoute } from './queries/query-route.ts';
import { Reconciler } from './loop/reconcile.ts';
import { startServer } from './status/server.ts';
import { createScrapePods, watchAllPods } from './scrape/scrape-pods.ts';
import { Slicer } from './loop/slicer.ts';
import { listFunctions, samplesOf, showFunction } from './status/views.ts';

export interface ScalerDeps {
  readonly log: Log;
  readonly kube: KubeClients;
  readonly nats: NatsLink;
  readonly registry: Registry;
  /** Milliseconds; default the system's clock. */
  readonly now?: () => number;
}

export interface RunningScaler extends Running {
  readonly port: number;
  readonly isLeader: () => boolean;
}

export async function startScaler(config: ScalerConfig, deps: ScalerDeps): Promise<RunningScaler> {
  const { log, kube, nats } = deps;
  const gate = openGate(config, kube);
  const stops = new StopStack(log);
  const pod = config['pod-name'] || hostname();
  let election: Election | undefined;
  const isLeader = () => election?.isLeader() ?? false;
  const parts = createParts(config, deps, { pod, isLeader, stops });
  const { load, reconciler } = parts;

  const wake = (id: FunctionId, waiting: number, from: string) => {
    const isKnown = reconciler.onWake(id, { from, waiting });
    if (isKnown && !isLeader()) void election?.tryNow();
    return isKnown;
  };
  for (const release of listen(nats, reconciler, wake, log)) stops.add('subscription', release);
  const release = nats.onStatus((isConnected) => {
    if (isConnected) load.jobs.startAnew();
  });
  stops.add('status', release);

  const leaderUrl = () => (isLeader() ? undefined : urlOf(election?.holder()));
  const http = await serve(config, deps.registry, parts, { isLeader, leaderUrl, wake, gate });
  stops.add('http', () => http.stop());

  const identity = `${pod}@${config['pod-ip']}:${http.port}`;
  const held = elect(config, { kube, identity, log }, () => {
    load.jobs.startAnew();
    reconciler.onLeading();
  });
  election = held;
  stops.add('election', () => held.stop());

  stops.add('tick', startTicks(config.tick * 1_000, parts));
  log.info({ host: config.host, port: http.port }, 'scaler listens');
  return { port: http.port, isLeader, stop: () => stops.stop() };
}

interface Parts {
  readonly load: Load;
  readonly reconciler: Reconciler;
  readonly slicer: Slicer;
  readonly watch: { readonly isSynced: boolean };
}

interface PartsContext {
  readonly pod: string;
  readonly isLeader: () => boolean;
  readonly stops: StopStack;
}

/** What observes, decides and acts, in this order; nothing ticks yet. */
function createParts(config: ScalerConfig, deps: ScalerDeps, { pod, isLeader, stops }: PartsContext): Parts {
  const { log, kube, nats, registry } = deps;
  const now = deps.now ?? Date.now;
  const samples = () => samplesOf(reconciler, (key) => load.jobs.depthOf(key), now());
  const metrics = createScalerMetrics(registry, {
    isLeader,
    samples,
    queries: () => load.queries.stats,
    earlyReports: () => reconciler.earlyReports(),
  });

  const writer = createKubeWriter(kube, { pod });
  const effects = createEffects({ writer, nats, metrics, isLeader, now, log });
  const onFailed = createObjectFailures(registry, log);
  const slicer = new Slicer({ onPass: metrics.passed });
  const reconciler: Reconciler = new Reconciler({
    run: (pass) => slicer.run(pass),
    now,
    log,
    effects,
    jobsOf: (key) => load.jobs.depthOf(key)?.total ?? 0,
    advisor: () => load.advisor,
    hosts: new HostPolicy(config['function-hosts']),
    onFailed,
  });
  const { namespaces } = config;
  const watch = watchCluster(scalerClients(kube), namespaces, clusterHandlers(reconciler, onFailed), log);
  const scrapePods = createScrapePods(
    watchAllPods(scalerClients(kube), namespaces, { log, onFailed }),
    config.namespace,
  );
  const load: Load = new Load({
    scrapePods,
    config,
    nats,
    isLeader,
    now,
    log,
    samples,
    world: reconciler.world,
    isSynced: () => watch.isSynced,
    ownToken: ownTokenFrom(config['peer-token-file'], log),
    onJobs: (key) => reconciler.onJobs(key),
  });
  stops.add('queries', () => load.queries.stop());
  stops.add('nats', () => nats.stop());
  stops.add('watches', () => Promise.all([watch.stop(), scrapePods.stop()]));
  return { load, reconciler, slicer, watch };
}

interface Answers {
  readonly isLeader: () => boolean;
  /** Undefined on the leader itself, and while nobody leads. */
  readonly leaderUrl: () => string | undefined;
  readonly wake: (id: FunctionId, waiting: number, from: string) => boolean;
  readonly gate: Gate;
}

function serve(
  config: ScalerConfig,
  registry: Registry,
  { load, reconciler, watch }: Parts,
  answers: Answers,
) {
  const { leaderUrl, gate } = answers;
  return startServer(config.host, config.port, {
    ...answers,
    registry,
    hasOpenMetrics: config['open-metrics'],
    isReady: () => watch.isSynced,
    list: () => listFunctions(reconciler),
    show: (id) => showFunction(reconciler, id),
    extend: (router) =>
      addQueryRoute(router, { ask: (...asked) => load.queries.ask(...asked), gate, leaderUrl }),
  });
}

/** Returns its release. */
function startTicks(everyMs: number, { load, reconciler, slicer }: Parts): () => void {
  const timer = setInterval(() => {
    load.tick();
    // A pass that takes longer than a tick is not hurried by the next one.
    if (!slicer.isBusy) reconciler.tick();
  }, everyMs);
  return () => {
    clearInterval(timer);
    slicer.stop();
  };
}

interface Candidate {
  readonly kube: KubeClients;
  readonly identity: string;
  readonly log: Log;
}

function elect(config: ScalerConfig, { kube, identity, log }: Candidate, onLeading: () => void): Election {
  const times = leaseTimesOf(config);
  const lease = { namespace: config['lease-namespace'] || config.namespace, name: config['lease-name'] };
  return startElection({
    identity,
    ...times,
    store: createLeaseStore(kube, lease, Math.min(5_000, times.renewDeadlineMs / 2)),
    now: () => performance.now(),
    log,
    onChange(isLeader) {
      log.info({ identity }, isLeader ? 'leading' : 'no longer leading');
      if (isLeader) onLeading();
    },
  });
}

function clusterHandlers(reconciler: Reconciler, onFailed: OnFailedObject): ClusterHandlers {
  return {
    onFailed,
    onWorkload: (kind, object) => reconciler.onWorkload(kind, object),
    onWorkloadGone: (kind, key) => reconciler.onWorkloadGone(kind, key),
    onPod: (object) => reconciler.onPod(object),
    onPodGone: (object) => reconciler.onPodGone(object),
    onCreationFailure: (failure) => reconciler.onCreationFailure(failure),
    onAutoscaler: (autoscaler) => reconciler.world.setAutoscaler(autoscaler),
    onAutoscalerGone: (key) => reconciler.world.deleteAutoscaler(key),
    onSynced: (isSynced) => reconciler.onSynced(isSynced),
  };
}

/** Hears every function's subjects; a message that cannot be read is logged and dropped. */
function listen(
  nats: NatsLink,
  reconciler: Reconciler,
  wake: (id: FunctionId, waiting: number, from: string) => boolean,
  log: Log,
): (() => void)[] {
  const hear = (kind: FunctionSubjectKind, onMessage: (id: FunctionId, data: Uint8Array) => void) =>
    nats.subscribe(everyFunction(kind), (subject, data) => {
      const parsed = parseFunctionSubject(subject);
      if (!parsed) return;
      try {
        onMessage(parsed.id, data);
      } catch (error) {
        log.warn({ subject, error: describeError(error) }, 'message dropped');
      }
    });
  reconciler.onNats(nats.isConnected);
  return [
    nats.onStatus((isConnected) => reconciler.onNats(isConnected)),
    hear('wake', (id, data) => {
      const { waiting, from } = decodeWake(data);
      wake(id, waiting, from);
    }),
    hear('activity', (id, data) => reconciler.onActivity(id, decodeActivity(data))),
    hear('ready', (id, data) => reconciler.onReady(id, decodeReady(data))),
    hear('share', (id, data) => reconciler.onShares(id, decodeShare(data))),
    nats.serve(POD_READY_SUBJECT, (data) => answerPodReady(reconciler.world, data, log)),
  ];
}

/** `<pod>@<ip>:<port>` → `http://<ip>:<port>`, an IPv6 address in brackets. */
export function urlOf(holder: string | undefined): string | undefined {
  const address = /@([^@]*):(\d+)$/.exec(holder ?? '');
  if (!address) return undefined;
  const [, host = '', port] = address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
