/**
 * The proxy, put together: tables fed by the watch and by NATS, the routes over them, and the order in which
 * it all starts and stops. Everything from outside the process is an argument.
 */
import type { KubeClients } from '../common/kube/client.ts';
import { createObjectFailures } from '../common/kube/object-failures.ts';
import { STOP_LIMIT_MS, StopStack, type Running } from '../common/runtime/lifecycle.ts';
import type { Log } from '../common/runtime/log.ts';
import type { Registry } from '../common/runtime/metrics.ts';
import { createBusMetrics } from '../common/bus/bus-metrics.ts';
import type { NatsLink } from '../common/bus/nats.ts';
import { functionSubject, type FunctionId } from '../common/bus/subjects.ts';
import { ownTokenFrom } from '../common/access/own-token.ts';
import { openGate } from '../common/kube/access-reviewer.ts';
import { watchSlowClients } from './edge/active-calls.ts';
import type { Resolve } from '../common/outbound/resolve.ts';
import { systemClock, type Clock } from './clock.ts';
import { Ending, longestEndMs, type EndedRequests, type EndingTimes } from './edge/ending.ts';
import type { ProxyConfig } from './flags.ts';
import { createProxyJobs } from './jobs/proxy-jobs.ts';
import { annotationDefaults } from '../common/function/services-flags.ts';
import { watchKube, type KubeWatch } from './functions/kube-watch.ts';
import { joinListeners, listenAtEdge, type EdgeListener } from './edge/listener.ts';
import { listenToPods } from './pods/bus-messages.ts';
import { followProofKeys } from './pods/proof-keys.ts';
import { createProxyMetrics, type ProxyMetrics } from './metrics/proxy-metrics.ts';
import { createPorts, tlsFiles } from './ports.ts';
import { createProxyState, type ProxyState } from './proxy-state.ts';
import { createReport, reportActivity } from './metrics/report.ts';
import { createServers, type Servers, type ServersDeps } from './servers.ts';
import { registerStateGauges } from './state-gauges.ts';
import { openServiceListeners } from './services/open-listeners.ts';
import { firstKeyPair } from './http2/tls-port.ts';
import { byName, forOutside, functionStatus } from './status/function-status.ts';
import { StatusBoard } from './status/board.ts';
import { StatusStream } from './status/stream.ts';
import { createWake } from './waiting/wake.ts';

export interface ProxyDeps {
  readonly log: Log;
  readonly kube: KubeClients;
  /** Stays the caller's: the proxy does not close it. */
  readonly nats: NatsLink;
  readonly registry: Registry;
  readonly clock?: Clock;
  /** Milliseconds since 1970, by which tokens expire. */
  readonly wallClock?: () => number;
  readonly random?: () => number;
  /** Resolves the names in X-Callback-Url. */
  readonly resolve?: Resolve;
}

export interface RunningProxy extends Running {
  readonly port: number;
  readonly metricsPort: number;
  /** 0 without a certificate. */
  readonly tlsPort: number;
  /** 0 without --public-routes. */
  readonly publicPort: number;
}

/** Resolves when it listens; `/ready` tells when it knows its functions. */
export async function startProxy(config: ProxyConfig, deps: ProxyDeps): Promise<RunningProxy> {
  const { log, kube, nats, registry, clock = systemClock, random = Math.random } = deps;
  const jobs = createProxyJobs(config, deps); // first: it may find a flag that cannot be used
  const stops = new StopStack(log, stopLimitMs(config));
  const podName = config['pod-name'];
  const pair = await firstKeyPair(tlsFiles(config));
  const gate = openGate(config, kube);
  const wake = createWake({ ...scalerOf(config, log), nats, podName, log });
  const report = createReport(nats, podName);
  const metrics = createProxyMetrics(registry);
  const passOn = (id: FunctionId, message: Uint8Array): void =>
    void nats.publish(functionSubject('ready', id), message);
  const state = createProxyState(config, { ...deps, clock, random, metrics, wake, report, passOn });
  stops.add('API keys', await state.gates.start());
  const { prover } = state.endpoints;
  stops.add('keys of proofs', await followProofKeys(config, { kube, prover, log }));
  const status = createStatus(config, state, { clock, metrics });
  stops.add('connections to pods', () => state.relay.close());
  const onFailed = createObjectFailures(registry, log);
  const defaults = annotationDefaults(config);
  const { namespaces } = config;
  const watch = watchKube({ kube, namespaces, targets: state.targets, defaults, log, onFailed });
  stops.add('watch', () => watch.stop());
  const ending = createEnding(config, state, watch, log);
  stops.add('bus', hearBus(podName, state, { nats, registry, clock, log }));
  stops.add('reports', reportActivity({ functions: () => state.table.all, report, clock }));
  stops.add('slow clients', watchSlowClients(state.active, clock, config['body-idle-timeout'] * 1000));
  stops.add('unsettled jobs', () => jobs.stop());
  const serving = {
    log,
    clock,
    registry,
    wake,
    gate,
    limited: metrics.limited,
    eventRefused: metrics.eventRefused,
    ...status,
    jobs,
    ending,
    ...readinessOf(ending, nats, watch),
  };
  const servers = createServers(config, state, serving);
  const onDrop = (): void => metrics.limited('connections');
  const callerPorts = createPorts(config, { pair, servers, log, outside: state.outside, onDrop });
  const { accepting } = callerPorts;
  registerStateGauges(registry, state, { accepting, http2: servers.http2, ...status });
  const admin = await listenAtEdge(servers.metrics, config['metrics-port'], config.host, servers.metrics);
  stops.add('metrics port', () => admin.close());
  const { listener: ofCallers, stop, ...open } = await callerPorts.listen();
  stops.add('certificate', stop);
  const { table } = state;
  const services = openServiceListeners(config, { ...deps, clock, onFailed, metrics, watch, table });
  stops.add('services', () => services.stop());
  const listener = joinListeners(ofCallers, services.listener);
  stops.add('calls', () => ending.run(endedBy(listener, state, servers, status)));
  const ports = { ...open, metricsPort: admin.port };
  log.info(ports, 'proxy listens');
  return { ...ports, stop: () => stops.stop() };
}

function scalerOf(config: ProxyConfig, log: Log) {
  return {
    scalerUrl: config['scaler-url'],
    scalerAddress: config['scaler-address'],
    ownToken: ownTokenFrom(config['peer-token-file'], log),
  };
}

interface BusDeps {
  readonly nats: NatsLink;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Log;
}

/** What sidecars and other proxies say on NATS. Returns its release. */
function hearBus(podName: string, { endpoints, table }: ProxyState, { nats, registry, clock, log }: BusDeps) {
  return listenToPods({
    nats,
    onDropped: createBusMetrics(registry, nats),
    endpoints,
    wantsActivity: (id) => table.get(id)?.wantsActivity ?? false,
    heardProxy(id, message) {
      if (message.pod !== podName) table.get(id)?.otherProxies.heard(message, clock.now());
    },
    log,
  });
}

/** What `/ready` and `/ready-for-calls` name as missing. */
function readinessOf(
  ending: Ending,
  nats: NatsLink,
  watch: KubeWatch,
): Pick<ServersDeps, 'missing' | 'obstacles'> {
  const over = (isOver: boolean): string[] => (isOver ? ['the proxy is ending'] : []);
  return {
    missing: () => [...over(ending.hasBegun), ...(nats.isConnected ? [] : ['NATS']), ...watch.missing],
    obstacles: () => [...over(ending.isOver), ...(watch.wasSynced ? [] : watch.missing)],
  };
}

interface Status {
  readonly board: StatusBoard;
  readonly stream: StatusStream;
}

function createStatus(
  config: ProxyConfig,
  { lookup }: ProxyState,
  { clock, metrics }: { clock: Clock; metrics: ProxyMetrics },
): Status {
  const board = new StatusBoard({
    clock,
    statuses: (view) => {
      const all = (view === 'all' ? lookup.everything() : lookup.public())
        .map(functionStatus)
        .toSorted(byName);
      return view === 'outside' ? all.map(forOutside) : all;
    },
    maxBytes: config['status-bytes'],
  });
  const stream = new StatusStream({
    clock,
    board,
    maxReaders: config['status-readers'],
    readMs: config['body-idle-timeout'] * 1000,
    onFull: () => metrics.limited('status-readers'),
  });
  return { board, stream };
}

function endingTimes(config: ProxyConfig): EndingTimes {
  return {
    lameDuckMs: config['lame-duck'] * 1000,
    aloneMs: config['lame-duck-alone'] * 1000,
    drainMs: config['drain-timeout'] * 1000,
  };
}

/** For one step, of which the calls take longest. */
function stopLimitMs(config: ProxyConfig): number {
  return longestEndMs(endingTimes(config), config['services-lame-duck'] * 1_000) + STOP_LIMIT_MS;
}

function createEnding(config: ProxyConfig, { siblings }: ProxyState, watch: KubeWatch, log: Log): Ending {
  return new Ending({
    ...endingTimes(config),
    // Without the API server nobody makes another one.
    isAlone: () => siblings.isAlone && watch.missing.length === 0,
    log,
  });
}

function endedBy(
  listener: EdgeListener,
  { active, upgrades, table }: ProxyState,
  { http2 }: Servers,
  { stream }: Status,
): EndedRequests {
  return {
    listener,
    active,
    upgrades,
    closeStreams: () => stream.close(),
    closeAfterAnswers: () => http2.sessions.closeAfterAnswers(),
    refuseWaiting(error) {
      for (const { throttler, firstPod } of table.all) {
        throttler.refuseAll(error);
        firstPod.refuseAll(error);
      }
    },
  };
}
