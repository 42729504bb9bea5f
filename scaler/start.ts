/**
 * Puts the scaler together. What is heard (NATS, watches, HTTP) goes into the reconciler. What it wants done goes to
 * the Kubernetes API and to NATS. Nothing here decides anything.
 */
import { HostPolicy } from '../common/function/hosts.ts';
import { hostname } from 'node:os';
import type { KubeClients } from '../common/kube/client.ts';
import { createObjectFailures } from '../common/kube/object-failures.ts';
import type { OnFailedObject } from '../common/kube/watched.ts';
import { StopStack, type Running } from '../common/runtime/lifecycle.ts';
import type { Log } from '../common/runtime/log.ts';
import { createBusMetrics } from '../common/bus/bus-metrics.ts';
import type { Registry } from '../common/runtime/metrics.ts';
import type { NatsLink } from '../common/bus/nats.ts';
import type { Gate } from '../common/access/gate.ts';
import { ownTokenFrom } from '../common/access/own-token.ts';
import { openGate } from '../common/kube/access-reviewer.ts';
import { listenOnBus, type OnWake } from './listen.ts';
import { leaseTimesOf, type ScalerConfig } from './flags.ts';
import { createEffects } from './act/effects.ts';
import { createKubeWriter, createLeaseStore, scalerClients } from './world/kube.ts';
import { watchCluster, type ClusterHandlers } from './world/kube-watch.ts';
import { createElection, urlOf, type Election } from './world/lease.ts';
import { listFunctionsOf, type FunctionList } from './load/functions.ts';
import {
  createAdvisor,
  createEventKeeper,
  createEventReaders,
  createJobKeeper,
  createQueries,
  createTriggers,
  loadTick,
  type Measures,
} from './load/load.ts';
import { createScalerMetrics, registerScalerGauges } from './status/metrics.ts';
import { ServiceFaults } from './faults/service-faults.ts';
import type { EventReaders } from './jobs/event-readers.ts';
import { Observer } from './observe/observer.ts';
import { jetStreamUpkeep } from '../common/queue/jetstream/upkeep.ts';
import { secretReader } from './world/kube-secrets.ts';
import { addQueryRoute } from './status/query-route.ts';
import { Reconciler } from './loop/reconcile.ts';
import { startServer } from './status/server.ts';
import { createScrapePods, watchAllPods, type ScrapePods } from './scrape/scrape-pods.ts';
import { annotationDefaults } from '../common/function/services-flags.ts';
import { keepServices, type KeptServices } from './services/services.ts';
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

/** Everything is made here, in order: each piece of those before it. */
export async function startScaler(config: ScalerConfig, deps: ScalerDeps): Promise<RunningScaler> {
  const { log, kube, nats, registry } = deps;
  const gate = openGate(config, kube);
  const stops = new StopStack(log);
  const election = createCandidate(config, kube, log);
  const parts = createParts(config, deps, election, stops);
  const { measures, reconciler, observer, slicer, eventReaders } = parts;
  const isLeader = () => election.isLeader();

  const wake: OnWake = (id, waiting, from) => {
    const isKnown = reconciler.onWake(id, { from, waiting });
    if (isKnown && !isLeader()) void election.tryNow();
    return isKnown;
  };
  const onDropped = createBusMetrics(registry, nats);
  const { services } = parts;
  const hearsOlder = config.auth !== 'required';
  const heard = { nats, reconciler, observer, services, wake, hearsOlder, eventReaders, onDropped, log };
  for (const release of listenOnBus(heard)) stops.add('subscription', release);
  const release = nats.onStatus((isConnected) => {
    if (isConnected) measures.jobs.startAnew();
  });
  stops.add('status', release);

  const leaderUrl = () => (isLeader() ? undefined : urlOf(election.holder()));
  const http = await serve(config, registry, parts, { isLeader, leaderUrl, wake, gate });
  stops.add('http', () => http.stop());

  const identity = `${parts.pod}@${config['pod-ip']}:${http.port}`;
  election.onChange((isLeading) => {
    log.info({ identity }, isLeading ? 'leading' : 'no longer leading');
    if (!isLeading) return;
    measures.jobs.startAnew();
    reconciler.onLeading();
  });
  election.start(identity);
  stops.add('election', () => election.stop());

  const tickLoad = loadTick(measures, parts.functions);
  stops.add('tick', startTicks(config.tick * 1_000, { tickLoad, reconciler, slicer }));
  log.info({ host: config.host, port: http.port }, 'scaler listens');
  return { port: http.port, isLeader, stop: () => stops.stop() };
}

interface Parts {
  readonly pod: string;
  readonly observer: Observer;
  readonly functions: () => FunctionList;
  readonly measures: Measures;
  readonly eventReaders: EventReaders;
  readonly reconciler: Reconciler;
  readonly services: KeptServices;
  readonly slicer: Slicer;
}

/** What observes, decides and acts; nothing ticks yet. */
function createParts(config: ScalerConfig, deps: ScalerDeps, election: Election, stops: StopStack): Parts {
  const { log, kube, nats, registry, now = Date.now } = deps;
  const isLeader = () => election.isLeader();
  const pod = config['pod-name'] || hostname();
  const observer = new Observer(now, annotationDefaults(config));
  const functions = listFunctionsOf(observer.world);
  const loadDeps = { config, observed: observer, functions, isLeader, now, log };
  const queue = jetStreamUpkeep(nats);
  const jobs = createJobKeeper(loadDeps, queue);
  const eventReaders = createEventReaders(loadDeps, queue);
  const events = createEventKeeper(loadDeps, queue, eventReaders);
  const triggers = createTriggers(loadDeps, secretReader(kube));
  const advisor = createAdvisor(loadDeps, jobs, triggers);

  const metrics = createScalerMetrics(registry);
  const writer = createKubeWriter(kube, { pod });
  const effects = createEffects({ writer, nats, metrics, isLeader, now, log });
  const slicer = new Slicer({ onPass: metrics.passed });
  const onFailed = createObjectFailures(registry, log);
  const serviceFaults = new ServiceFaults(config['services-wake']);
  const reconciler = new Reconciler({
    observer,
    advisor,
    effects,
    jobsOf: (key) => jobs.depthOf(key)?.total ?? 0,
    hosts: new HostPolicy(config['function-hosts']),
    services: serviceFaults,
    run: (pass) => slicer.run(pass),
    onFailed,
    now,
    log,
  });
  jobs.onChange((key) => reconciler.onJobs(key));

  const watches = watch(config, deps, { observer, reconciler, serviceFaults, isLeader, onFailed, now });
  const { scrapePods, services } = watches;
  const samples = () => samplesOf(reconciler, (key) => jobs.depthOf(key), now());
  const queries = createQueries(loadDeps, {
    ...triggers,
    scrapePods,
    samples,
    ownToken: ownTokenFrom(config['peer-token-file'], log),
    onAnswers: (keys) => reconciler.onAnswers(keys),
  });
  registerScalerGauges(registry, {
    isLeader,
    samples,
    queries: () => queries.stats,
    sources: triggers.sources,
    earlyReports: () => observer.earlyReports(),
    eventWishes: () => eventReaders.waiting,
  });
  stops.add('queries', () => queries.stop());
  stops.add('nats', () => nats.stop());
  stops.add('watches', () => watches.stop());
  const measures = { jobs, events, queries };
  return { pod, observer, functions, measures, eventReaders, reconciler, services, slicer };
}

interface Watching {
  readonly observer: Observer;
  readonly reconciler: Reconciler;
  readonly serviceFaults: ServiceFaults;
  readonly isLeader: () => boolean;
  readonly onFailed: OnFailedObject;
  readonly now: () => number;
}

interface Watches extends Running {
  readonly scrapePods: ScrapePods;
  readonly services: KeptServices;
}

function watch(config: ScalerConfig, { kube, nats, registry, log }: ScalerDeps, watching: Watching): Watches {
  const { observer, reconciler, serviceFaults, isLeader, onFailed, now } = watching;
  const { namespaces } = config;
  const clients = scalerClients(kube);
  const cluster = watchCluster(clients, namespaces, clusterHandlers(reconciler, onFailed), log);
  const pods = watchAllPods(clients, namespaces, { log, onFailed });
  const scrapePods = createScrapePods(pods, config.namespace);
  const services = keepServices(config, {
    clients,
    nats,
    registry,
    world: observer.world,
    isLeader,
    isSynced: () => observer.isSynced,
    faults: serviceFaults,
    onFaultsChanged: (workload) => reconciler.tellFaults(workload),
    onFailed,
    now,
    log,
  });
  return {
    scrapePods,
    services,
    async stop() {
      await Promise.all([cluster.stop(), scrapePods.stop(), services.stop()]);
    },
  };
}

interface Answers {
  readonly isLeader: () => boolean;
  /** Undefined on the leader itself, and while nobody leads. */
  readonly leaderUrl: () => string | undefined;
  readonly wake: OnWake;
  readonly gate: Gate;
}

function serve(
  config: ScalerConfig,
  registry: Registry,
  { measures, reconciler, observer }: Parts,
  answers: Answers,
) {
  const { leaderUrl, gate } = answers;
  const { queries } = measures;
  return startServer(config.host, config.port, {
    ...answers,
    registry,
    hasOpenMetrics: config['open-metrics'],
    isReady: () => observer.isSynced,
    list: () => listFunctions(reconciler),
    show: (id) => showFunction(reconciler, id),
    extend: (router) => addQueryRoute(router, { ask: (...asked) => queries.ask(...asked), gate, leaderUrl }),
  });
}

interface Ticking {
  readonly tickLoad: () => void;
  readonly reconciler: Reconciler;
  readonly slicer: Slicer;
}

/** Returns its release. */
function startTicks(everyMs: number, { tickLoad, reconciler, slicer }: Ticking): () => void {
  const timer = setInterval(() => {
    tickLoad();
    // A pass that takes longer than a tick is not hurried by the next one.
    if (!slicer.isBusy) reconciler.tick();
  }, everyMs);
  return () => {
    clearInterval(timer);
    slicer.stop();
  };
}

/** Not a candidate yet: its name tells where it listens. */
function createCandidate(config: ScalerConfig, kube: KubeClients, log: Log): Election {
  const times = leaseTimesOf(config);
  const lease = { namespace: config['lease-namespace'] || config.namespace, name: config['lease-name'] };
  return createElection({
    ...times,
    store: createLeaseStore(kube, lease, Math.min(5_000, times.renewDeadlineMs / 2)),
    now: () => performance.now(),
    log,
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
    onAutoscaler: (autoscaler) => reconciler.onAutoscaler(autoscaler),
    onAutoscalerGone: (key) => reconciler.onAutoscalerGone(key),
    onSynced: (isSynced) => reconciler.onSynced(isSynced),
  };
}
