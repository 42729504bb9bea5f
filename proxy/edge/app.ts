/**
 * The Koa application: the routes that are rarely asked. Calls, jobs, events and upgrades are handled before Koa sees
 * them (servers.ts).
 * Errors that carry a reason are answered with it on every route.
 *
 * Room `proxy/edge`: What a client meets first: server, trust, headers, the end.
 * Comes in: sockets and heads.
 * Goes out: requests that are within the limits.
 */
import Koa from 'koa';
import Router from 'koa-router';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { reasonAnswer } from '../../common/runtime/reason-answer.ts';
import { serveHead } from '../../common/relay/index.ts';
import { toldTo, unknownRoute } from './outside.ts';

export interface AppOptions {
  readonly log: Log;
  readonly addRoutes: (router: Router) => void;
}

export function createApp({ log, addRoutes }: AppOptions): Koa {
  const app = new Koa();
  // strict: `/health/` is not `/health`; what is not ours is 404 and never guessed at.
  const router = new Router({ strict: true, sensitive: true });
  addRoutes(router);
  app.on('error', (error: unknown) => log.error({ error: describeError(error) }, 'a route failed'));
  app.use(answerReasons);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

const answerReasons: Koa.Middleware = async (ctx, next) => {
  try {
    serveHead(ctx.req); // what is refused on one route is refused on all
    await next();
    if (ctx.status === 404 && ctx.body === undefined && ctx.respond !== false) throw unknownRoute(ctx.path);
    if (ctx.status === 405 && !ctx.body) throw methodNotAllowed(ctx);
  } catch (error) {
    if (!(error instanceof ReasonError)) throw error;
    const isLast = error.code === 'bad-request' && ctx.req.httpVersionMajor === 1; // HTTP/2 frames by itself
    const answer = reasonAnswer(toldTo(ctx.req.socket, error), isLast ? ['Connection', 'close'] : []);
    ctx.status = answer.status;
    ctx.body = answer.body;
    for (let i = 0; i + 1 < answer.headers.length; i += 2) {
      ctx.set(answer.headers[i] as string, answer.headers[i + 1] as string);
    }
  }
};

/** The router has set `Allow` already. */
function methodNotAllowed(ctx: Koa.Context): ReasonError {
  const allowed = ctx.response.get('Allow');
  return new ReasonError(
    'method-not-allowed',
    `${ctx.method} is not for ${JSON.stringify(ctx.path)}; use ${allowed}`,
  );
}
