/** `/status-functions`, `/status-function/{fn}` and the same as server-sent events. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Router from 'koa-router';
import { byName, functionStatus, type FunctionStatus } from '../function-status.ts';
import type { FunctionLookup } from '../function-lookup.ts';
import type { StatusStream } from '../status-stream.ts';

export interface StatusRoutesDeps {
  readonly lookup: FunctionLookup;
  readonly showPrivate: boolean;
  readonly stream: StatusStream;
}

export function addStatusRoutes(router: Router, deps: StatusRoutesDeps): void {
  router.get('/status-functions', (ctx) => {
    ctx.body = statusesFor(ctx.req, deps);
  });
  router.get('/status-function/:name', (ctx) => {
    // A list here too, of one: the same reader serves both routes.
    ctx.body = [functionStatus(deps.lookup.forFunction(ctx.req, ctx.params['name'] ?? ''))];
  });
  router.get('/status-functions-stream', (ctx) => {
    ctx.respond = false;
    openStream(ctx.req, ctx.res, deps);
  });
}

function statusesFor(req: IncomingMessage, { lookup, showPrivate }: StatusRoutesDeps): FunctionStatus[] {
  const entries = showPrivate ? lookup.everything() : lookup.visibleTo(req);
  return entries.map(functionStatus).toSorted(byName);
}

function openStream(req: IncomingMessage, res: ServerResponse, deps: StatusRoutesDeps): void {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no', // nginx in front would collect events
  });
  const close = deps.stream.add(res, () => JSON.stringify(statusesFor(req, deps)));
  res.once('close', close);
}
