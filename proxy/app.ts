/**
 * The Koa application: the hot route first and past Koa's own answering, all else through koa-router. Errors
 * that carry a reason are answered with it on every route.
 */
import Koa from 'koa';
import Router from 'koa-router';
import { describeError, ReasonError } from '../common/errors.ts';
import type { Log } from '../common/log.ts';
import { reasonAnswer } from '../common/reason-answer.ts';
import { serveHead } from '../common/relay/index.ts';
import { FUNCTION_PREFIX, type RawHandler } from './routes/function-route.ts';

export interface AppOptions {
  readonly log: Log;
  /** Undefined on the metrics port. */
  readonly functionRoute: RawHandler | undefined;
  readonly addRoutes: (router: Router) => void;
}

export function createApp({ log, functionRoute, addRoutes }: AppOptions): Koa {
  const app = new Koa();
  // strict: `/health/` is not `/health`; what is not ours is 404 and never guessed at.
  const router = new Router({ strict: true, sensitive: true });
  addRoutes(router);
  app.on('error', (error: unknown) => log.error({ error: describeError(error) }, 'a route failed'));
  if (functionRoute) app.use(bypass(functionRoute));
  app.use(answerReasons);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/** The function's answer is not Koa's: its request and response go to the relay as they are. */
function bypass(handle: RawHandler): Koa.Middleware {
  return (ctx, next) => {
    if (!ctx.req.url?.startsWith(FUNCTION_PREFIX)) return next();
    ctx.respond = false;
    handle(ctx.req, ctx.res);
    return undefined;
  };
}

const answerReasons: Koa.Middleware = async (ctx, next) => {
  try {
    serveHead(ctx.req); // what is refused on one route is refused on all
    await next();
  } catch (error) {
    if (!(error instanceof ReasonError)) throw error;
    const answer = reasonAnswer(error, error.code === 'bad-request' ? ['Connection', 'close'] : []);
    ctx.status = answer.status;
    ctx.body = answer.body;
    for (let i = 0; i + 1 < answer.headers.length; i += 2) {
      ctx.set(answer.headers[i] as string, answer.headers[i + 1] as string);
    }
  }
};
