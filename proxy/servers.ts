/** The two ports: all routes on one, health and metrics alone on the other. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type Router from 'koa-router';
import type { Log } from '../common/runtime/log.ts';
import type { Registry } from '../common/runtime/metrics.ts';
import { createEdgeServer, createOperatorServer, type EdgeLimit } from '../common/relay/index.ts';
import { functionKey, type FunctionId } from '../common/bus/subjects.ts';
import { createApp } from './edge/app.ts';
import type { Gate } from '../common/access/gate.ts';
import type { Clock } from './clock.ts';
import type { Ending } from './edge/ending.ts';
import type { PublishOptions } from './events/publish.ts';
import type { ProxyConfig } from './flags.ts';
import { Http2Edge, type Http2EdgeOptions } from './http2/http2-edge.ts';
import { createStreamRoutes } from './http2/stream-routes.ts';
import { takeOverHttp2 } from './http2/take-over.ts';
import { createIds } from './edge/ids.ts';
import type { ProxyJobs } from './jobs/proxy-jobs.ts';
import { MetricsText } from './metrics/metrics-text.ts';
import type { ProxyState } from './proxy-state.ts';
import { ReplayBudget } from './call/replay-budget.ts';
import { answerFailure } from './edge/answer-failure.ts';
import { ACCEPT_PREFIX, createAcceptRoute } from './jobs/accepting/accept-route.ts';
import { createEventRoute, EVENT_PREFIX } from './events/event-route.ts';
import { createFunctionRoute } from './call/function-route.ts';
import { createCorsRoutes } from './functions/cors-routes.ts';
import { FUNCTION_PREFIX } from './functions/routes.ts';
import { addHealthRoutes, withoutFunctions, type AnybodysMetrics } from './edge/health-routes.ts';
import { addDeadRoutes } from './jobs/dead-routes.ts';
import { addJobRoutes } from './jobs/job-routes.ts';
import { addPodReadyRoute } from './pods/pod-ready-route.ts';
import { addPageRoutes } from './status/page-routes.ts';
import { addStatusRoutes, answerShared, statusView } from './status/status-routes.ts';
import { createUpgradeRoute } from './call/upgrade-route.ts';
import { addWakeRoutes } from './waiting/wake-routes.ts';
import type { StatusBoard } from './status/board.ts';
import type { StatusStream } from './status/stream.ts';
import { WaitingPages } from './waiting/waiting-page.ts';
import { waitingPageTemplate } from './waiting/waiting-page-template.ts';
import type { Wake } from './waiting/wake.ts';

export interface ServersDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly wake: Wake;
  /** Before operator routes. */
  readonly gate: Gate;
  readonly limited: (limit: EdgeLimit) => void;
  readonly eventRefused: (reason: string) => void;
  readonly board: StatusBoard;
  readonly stream: StatusStream;
  readonly jobs: ProxyJobs;
  readonly ending: Pick<Ending, 'hasBegun'>;
  /** What is not up. */
  readonly missing: () => readonly string[];
  /** What keeps it from answering calls. */
  readonly obstacles: () => readonly string[];
}

export interface Servers {
  readonly main: Server;
  readonly metrics: Server;
  /** Connections of HTTP/2, from the main port and from the TLS port. */
  readonly http2: Http2Edge;
}

export function createServers(config: ProxyConfig, state: ProxyState, deps: ServersDeps): Servers {
  const ids = createIds();
  const common = { ...state, ...deps, ids };
  const replay = new ReplayBudget(config['replay-bytes']);
  const functionDeps = { ...common, replay, pages: createWaitingPages(config, deps.clock) };
  const functionRoute = createFunctionRoute(functionDeps);
  const acceptRoute = createAcceptRoute(common);
  const eventRoute = createEventRoute({ ...common, publish: publishOptions(config, deps.jobs) });
  const app = createApp({
    log: deps.log,
    addRoutes(router: Router) {
      addHealthRoutes(router, { ...deps, anybody: anybodysMetrics(config, state, deps) });
      addStatusRoutes(router, { ...common, ...statusLimits(config) });
      addWakeRoutes(router, common);
      addPodReadyRoute(router, common);
      addJobRoutes(router, common);
      addPageRoutes(router);
    },
  });
  const koa = app.callback();
  const cors = createCorsRoutes(state);
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    try {
      state.published.check(req.socket, req.url ?? '/');
      if (cors(req, res)) return;
    } catch (error) {
      return answerFailure(res, error, deps.log);
    }
    if (req.url?.startsWith(ACCEPT_PREFIX)) acceptRoute(req, res);
    else if (req.url?.startsWith(EVENT_PREFIX)) eventRoute(req, res);
    else void koa(req, res);
  };
  const main = createEdgeServer(
    (req: IncomingMessage, res: ServerResponse) => {
      if (deps.ending.hasBegun) res.shouldKeepAlive = false;
      // Past Koa: its context costs 3 KB of heap a call that waits and a tenth of the CPU of one that does not.
      const { url = '/' } = req;
      const hosted = state.lookup.hosted(req.headers.host, url);
      if (hosted || url.startsWith(FUNCTION_PREFIX)) functionRoute(req, res, hosted);
      else handle(req, res);
    },
    {
      maxHeaderBytes: config['max-header-bytes'],
      maxHeaders: config['max-headers'],
      headersTimeoutMs: config['header-timeout'] * 1000,
      keepAliveMs: config['keep-alive-timeout'] * 1000,
      maxRequestsPerConnection: config['requests-per-connection'],
      maxConnections: config['max-connections'],
      maxIdleBytes: config['idle-bytes'],
    },
    deps.limited,
  );
  main.on('upgrade', createUpgradeRoute({ ...common, open: state.upgrades }));
  const streamDeps = { ...functionDeps, maxHeaderBytes: config['max-header-bytes'] };
  const http2 = createHttp2(config, deps, createStreamRoutes(streamDeps, handle));
  takeOverHttp2(main, (socket) => http2.take(socket));
  const idOf = (name: string): FunctionId => state.table.find(name)?.id ?? guessId(name, config.namespace);
  return { main, metrics: createMetricsServer(config, deps, idOf), http2 };
}

function createWaitingPages(config: ProxyConfig, clock: Clock): WaitingPages {
  return new WaitingPages({
    clock,
    defaultSeconds: config['waiting-page-seconds'],
    template: waitingPageTemplate(config['waiting-page-file']),
  });
}

function statusLimits(config: ProxyConfig): { showPrivate: boolean; readMs: number } {
  return { showPrivate: config['show-private'], readMs: config['body-idle-timeout'] * 1000 };
}

/** `/metrics` on this port is anybody's: it names no function that the caller may not call. */
function anybodysMetrics(config: ProxyConfig, { lookup }: ProxyState, deps: ServersDeps): AnybodysMetrics {
  const { clock, registry, board } = deps;
  const limits = { ...statusLimits(config), clock, board, lookup };
  const text = new MetricsText({
    clock,
    render: async (view) => {
      const all = await registry.metrics();
      if (view === 'all') return all;
      const visible = new Set(lookup.public().map(({ id }) => functionKey(id)));
      return withoutFunctions(all, (namespace, name) => visible.has(functionKey({ namespace, name })));
    },
  });
  return {
    text,
    viewOf: (req) => statusView(req, limits),
    answer(ctx, bytes) {
      board.checkRoom();
      answerShared(ctx, bytes, limits);
    },
  };
}

function publishOptions(config: ProxyConfig, { accept }: ProxyJobs): PublishOptions {
  return { ...accept, namespace: config.namespace, maxBodyBytes: config['max-event-body'] };
}

function createHttp2(
  config: ProxyConfig,
  { clock, limited }: Pick<ServersDeps, 'clock' | 'limited'>,
  onStream: Http2EdgeOptions['onStream'],
): Http2Edge {
  return new Http2Edge({
    maxStreams: config['http2-streams'],
    maxHeaderBytes: config['max-header-bytes'],
    maxHeaders: config['max-headers'],
    firstStreamMs: config['header-timeout'] * 1000,
    idleMs: config['keep-alive-timeout'] * 1000,
    maxRequests: config['requests-per-connection'],
    maxIdleBytes: config['idle-bytes'],
    onEvicted: () => limited('idle-bytes'),
    clock,
    onStream,
  });
}

/** A function that is gone may have left dead jobs behind. */
function guessId(name: string, ownNamespace: string): FunctionId {
  const dot = name.lastIndexOf('.');
  if (dot <= 0) return { namespace: ownNamespace, name };
  return { namespace: name.slice(dot + 1), name: name.slice(0, dot) };
}

/** For people and machines that run the cluster: it is not published. */
function createMetricsServer(
  config: ProxyConfig,
  deps: ServersDeps,
  idOf: (name: string) => FunctionId,
): Server {
  const { gate } = deps;
  const app = createApp({
    log: deps.log,
    addRoutes(router) {
      addHealthRoutes(router, { ...deps, ...(config['open-metrics'] ? {} : { names: gate }) });
      addDeadRoutes(router, { dead: deps.jobs.dead, gate, idOf });
    },
  });
  const handle = app.callback();
  return createOperatorServer((req, res) => void handle(req, res), deps.limited);
}
