/** `/status-functions`, `/status-function/{fn}` and the same as server-sent events. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Router from 'koa-router';
import type { RouterContext } from 'koa-router';
import type { Clock } from '../clock.ts';
import { isOutside } from '../edge/outside.ts';
import { forOutside, functionStatus } from './function-status.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';
import type { StatusBoard, StatusView } from './board.ts';
import type { StatusStream } from './stream.ts';

export interface StatusRoutesDeps {
  readonly clock: Clock;
  readonly lookup: FunctionLookup;
  readonly showPrivate: boolean;
  readonly board: StatusBoard;
  readonly stream: StatusStream;
  /** In which a client takes its answer; beyond: cut. */
  readonly readMs: number;
}

export function addStatusRoutes(router: Router, deps: StatusRoutesDeps): void {
  router.get('/status-functions', (ctx) =>
    answer(ctx, deps.board.read(statusView(ctx.req, deps)).json, deps),
  );
  router.get('/status-function/:name', (ctx) => {
    // A list here too, of one: the same reader serves both routes.
    const status = functionStatus(deps.lookup.forFunction(ctx.req, ctx.params['name'] ?? ''));
    answer(ctx, deps.board.readOne(isOutside(ctx.req.socket) ? forOutside(status) : status), deps);
  });
  router.get('/status-functions-stream', (ctx) => {
    deps.stream.checkRoom();
    ctx.respond = false;
    openStream(ctx.req, ctx.res, deps);
  });
}

export function statusView(
  req: IncomingMessage,
  { lookup, showPrivate }: Pick<StatusRoutesDeps, 'lookup' | 'showPrivate'>,
): StatusView {
  if (isOutside(req.socket)) return 'outside';
  return showPrivate || lookup.isInside(req) ? 'all' : 'public';
}

function answer(ctx: RouterContext, json: Buffer, deps: StatusRoutesDeps): void {
  ctx.type = 'application/json';
  answerShared(ctx, json, deps);
}

/** Bytes that many answers share: they count as held until they are read, and a client that takes too long is cut. */
export function answerShared(
  ctx: RouterContext,
  json: Buffer,
  { clock, board, readMs }: Pick<StatusRoutesDeps, 'clock' | 'board' | 'readMs'>,
): void {
  ctx.body = json;
  const release = board.hold(json);
  const cancel = clock.after(readMs, () => ctx.res.destroy());
  ctx.res.once('close', () => {
    cancel();
    release();
  });
}

function openStream(req: IncomingMessage, res: ServerResponse, deps: StatusRoutesDeps): void {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no', // nginx in front would collect events
  });
  deps.stream.add(res, () => statusView(req, deps));
}
