/**
 * The proxy, put together: tables fed by the watch and by NATS, the routes over them, and the order in which
 * it all starts and stops. Everything from outside the process is an argument.
 */
import type { Server } from 'node:http';
import type { KubeClients } from '../common/kube/client.ts';
import { StopStack, type Running } from '../common/lifecycle.ts';
import type { Log } from '../common/log.ts';
import type { Registry } from '../common/metrics.ts';
import type { NatsLink } from '../common/nats.ts';
import type { FunctionId } from '../common/subjects.ts';
import { watchSlowClients } from './active-calls.ts';
import type { Resolve } from './callback-urls/resolve.ts';
import { systemClock, type Clock } from './clock.ts';
import { Ending } from './ending.ts';
import type { ProxyConfig } from './flags.ts';
import { createProxyJobs } from './jobs/proxy-jobs.ts';
import { watchKube } from './kube-watch.ts';
import { listen } from './listener.ts';
import { listenToNews } from './news.ts';
import { registerGauges } from './proxy-gauges.ts';
import { createProxyMetrics } from './proxy-metrics.ts';
import { createProxyState, type ProxyState } from './proxy-state.ts';
import { createReport, reportActivity } from './report.ts';
import { createServers } from './servers.ts';
import { StatusStream } from './status-stream.ts';
import { UpgradeTunnels } from './upgrade-tunnel.ts';
import { createWake } from './wake.ts';

export interface ProxyDeps {
  readonly log: Log;
  readonly kube: KubeClients;
  /** Stays the caller's: the proxy does not close it. */
  readonly nats: NatsLink;
  readonly registry: Registry;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Of the names in X-Callback-Url. */
  readonly resolve?: Resolve;
}

export interface RunningProxy extends Running {
  readonly port: number;
  readonly metricsPort: number;
}

/** Resolves when it listens; `/ready` tells when it knows its functions. */
export async function startProxy(config: ProxyConfig, deps: ProxyDeps): Promise<RunningProxy> {
  const { log, kube, nats, registry, clock = systemClock, random = Math.random } = deps;
  const jobs = createProxyJobs(config, deps); // first: it may find a flag that cannot be used
  const stops = new StopStack(log);
  const podName = config['pod-name'];
  const wake = createWake({ nats, scalerUrl: config['scaler-url'], podName, log });
  const report = createReport(nats, podName);
  const metrics = createProxyMetrics(registry);
  const state = createProxyState(config, { clock, random, metrics, wake, report });
  const tunnels = new UpgradeTunnels();
  const stream = new StatusStream(clock);
  const ending = createEnding(config, state, { stream, log });
  stops.add('connections to pods', () => (tunnels.close(), state.relay.close()));
  const watch = watchKube({ kube, namespaces: config.namespaces, targets: state.targets, log });
  stops.add('watch', () => watch.stop());
  const wantsActivity = (id: FunctionId): boolean => state.table.get(id)?.wantsActivity ?? false;
  stops.add('news', listenToNews({ nats, endpoints: state.endpoints, wantsActivity, log }));
  stops.add('reports', reportActivity({ functions: () => state.table.all, report, clock }));
  stops.add('slow clients', watchSlowClients(state.active, clock, config['body-idle-timeout'] * 1000));
  const going = (): string[] => (ending.hasBegun ? ['the proxy is ending'] : []);
  const missing = (): string[] => [...going(), ...(nats.isConnected ? [] : ['NATS']), ...watch.missing];
  const obstacles = (): string[] => [...going(), ...(watch.wasSynced ? [] : watch.missing)];
  stops.add('unsettled jobs', () => jobs.stop());
  const serving = { log, clock, registry, wake, tunnels, stream, jobs, ending, missing, obstacles };
  const servers = createServers(config, state, serving);
  registerStateGauges(registry, state, servers.main);
  const admin = await listen(servers.metrics, config['metrics-port'], config.host);
  stops.add('metrics port', () => admin.close());
  const main = await listen(servers.main, config.port, config.host);
  stops.add('calls', () => ending.run(main));
  log.info({ port: main.port, metricsPort: admin.port }, 'proxy listens');
  return { port: main.port, metricsPort: admin.port, stop: () => stops.stop() };
}

function createEnding(
  config: ProxyConfig,
  { active, upgrades, table }: ProxyState,
  { stream, log }: { stream: StatusStream; log: Log },
): Ending {
  return new Ending({
    active,
    upgrades,
    closeStreams: () => stream.close(),
    refuseWaiting: (error) => {
      for (const { throttler } of table.all) throttler.refuseAll(error);
    },
    lameDuckMs: config['lame-duck'] * 1000,
    drainMs: config['drain-timeout'] * 1000,
    log,
  });
}

function registerStateGauges(registry: Registry, state: ProxyState, server: Server): void {
  registerGauges(registry, {
    *functions() {
      for (const { id, throttler, account } of state.table.all)
        yield { id, waiting: throttler.waiting, inFlight: account.inFlight };
    },
    connections: () =>
      new Promise((resolve) => server.getConnections((error, count) => resolve(error ? 0 : count))),
    waitingBytes: () => state.budget.bytes,
    relayConnections: () => state.relay.stats,
    slowClients: () => state.active.slowClients,
  });
}
