/**
 * The scaler's HTTP side: health, metrics, the way in for a wake when NATS is gone, and an account of every
 * decision. It never sits in the path of a request to a function.
 */
import type { Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import Router from 'koa-router';
import { listenOn } from '../../common/runtime/listen-on.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import { createOperatorServer } from '../../common/relay/index.ts';
import type { Registry } from '../../common/runtime/metrics.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Gate } from '../../common/access/gate.ts';
import { hasToken, tokenHeaders } from '../../common/access/token.ts';
import { countLimits } from './metrics.ts';
import { withoutNames } from '../../common/runtime/metrics.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { reasonAnswer } from '../../common/runtime/reason-answer.ts';

export interface ScaledFunctionView {
  readonly name: string;
  readonly namespace: string;
  readonly [field: string]: unknown;
}

export interface ServerDeps {
  readonly registry: Registry;
  /** Before every route but health and readiness. */
  readonly gate: Gate;
  /** Metrics name functions to those without a token too. */
  readonly hasOpenMetrics: boolean;
  readonly isReady: () => boolean;
  readonly isLeader: () => boolean;
  /** The leader's address, as the Lease has it; undefined: nobody leads, or this replica does. */
  readonly leaderUrl: () => string | undefined;
  readonly wake: (id: FunctionId, waiting: number, from: string) => boolean;
  readonly list: () => ScaledFunctionView[];
  readonly show: (id: FunctionId) => ScaledFunctionView | undefined;
  /** More routes of this part: PromQL debugging. */
  readonly extend?: (router: Router) => void;
}

export interface HttpSide extends Running {
  readonly port: number;
}

/** A leader that takes longer than this to take a wake is treated as gone. */
const FORWARD_TIMEOUT_MS = 500;
/** Marks what another replica passed on: it is not passed on again. */
export const FORWARDED = 'slimfaas-forwarded';

export async function startServer(host: string, port: number, deps: ServerDeps): Promise<HttpSide> {
  const app = new Koa();
  app.silent = true;
  app.use(answerReasons);
  app.use(routes(deps).routes());
  const handle = app.callback();
  const server = createOperatorServer((req, res) => void handle(req, res), countLimits(deps.registry));
  server.listen(listenOn(host, port));
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => close(server),
  };
}

/** What the gate refuses. */
const answerReasons: Koa.Middleware = async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    if (!(error instanceof ReasonError)) throw error;
    const { status, body, headers } = reasonAnswer(error);
    ctx.status = status;
    ctx.body = body;
    for (let i = 0; i + 1 < headers.length; i += 2) ctx.set(headers[i] as string, headers[i + 1] as string);
  }
};

/** Without a token the series that name functions are left out: a scrape that has none still tells that we are up. */
async function metrics(ctx: Koa.Context, { registry, gate, hasOpenMetrics }: ServerDeps): Promise<void> {
  const isNameless = gate.isClosed && !hasOpenMetrics && !hasToken(ctx.headers);
  if (!isNameless && !hasOpenMetrics) await gate.check(ctx.req, { verb: 'get', subresource: 'metrics' });
  const text = await registry.metrics();
  ctx.type = registry.contentType;
  ctx.body = isNameless ? withoutNames(text) : text;
}

function routes(deps: ServerDeps): Router {
  const { gate } = deps;
  const router = new Router();
  router.get('/health', (ctx) => {
    ctx.body = { status: 'ok', isLeader: deps.isLeader() };
  });
  router.get('/ready', (ctx) => {
    ctx.status = deps.isReady() ? 200 : 503;
    ctx.body = { status: deps.isReady() ? 'ready' : 'the Kubernetes watch is not in sync yet' };
  });
  router.get('/metrics', (ctx) => metrics(ctx, deps));
  router.get('/functions', async (ctx) => {
    const namespace = ctx.query['namespace'];
    const isOne = typeof namespace === 'string' && namespace !== '';
    await gate.check(ctx.req, { verb: 'list', ...(isOne && { namespace }) });
    ctx.body = isOne ? deps.list().filter((view) => view.namespace === namespace) : deps.list();
  });
  router.get('/functions/:namespace/:name', async (ctx) => {
    await gate.check(ctx.req, { verb: 'get', ...idOf(ctx.params) });
    const found = deps.show(idOf(ctx.params));
    ctx.status = found ? 200 : 404;
    ctx.body = found ?? unknown(idOf(ctx.params));
  });
  router.post('/wake/:namespace/:name', (ctx) => wake(ctx, deps));
  deps.extend?.(router);
  return router;
}

/**
 * Taken here in any case, because a follower that hears of a wake helps if nobody acts. It is also passed on to the
 * leader, once, so that it acts at once.
 */
async function wake(ctx: Koa.Context & { params: Record<string, string> }, deps: ServerDeps): Promise<void> {
  const id = idOf(ctx.params);
  await deps.gate.check(ctx.req, { verb: 'create', subresource: 'wake', ...id });
  const text = String(ctx.query['waiting'] ?? '0');
  if (!/^\d{1,9}$/.test(text)) {
    ctx.status = 400;
    ctx.body = { error: 'bad-request', message: `waiting is ${JSON.stringify(text)}; use a whole number` };
    return;
  }
  const isKnown = deps.wake(id, Number(text), senderOf(ctx));
  const leader = deps.isLeader() || ctx.get(FORWARDED) ? undefined : deps.leaderUrl();
  const passedOn = leader === undefined ? undefined : await forward(leader, ctx);
  ctx.status = isKnown || passedOn === 204 ? 204 : 404;
  if (ctx.status === 404) ctx.body = unknown(id);
}

/** A proxy gives its name, the one that it has over NATS too. A stranger's may be any text: it is cut. */
function senderOf(ctx: Koa.Context): string {
  const from = ctx.query['from'];
  return typeof from === 'string' && from !== '' ? from.slice(0, 253) : `http ${ctx.ip}`;
}

async function forward(leader: string, { url, headers }: Koa.Context): Promise<number | undefined> {
  try {
    const answer = await fetch(`${leader}${url}`, {
      method: 'POST',
      headers: { [FORWARDED]: '1', ...tokenHeaders(headers) },
      signal: AbortSignal.timeout(FORWARD_TIMEOUT_MS),
    });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return undefined; // it is gone, and we have heard the wake ourselves
  }
}

function idOf(params: Record<string, string>): FunctionId {
  return { namespace: params['namespace'] ?? '', name: params['name'] ?? '' };
}

function unknown(id: FunctionId): { error: string; message: string } {
  return { error: 'unknown-function', message: `no function ${id.name} in namespace ${id.namespace}` };
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  if (server.listening) await new Promise((resolve) => server.close(resolve));
}
