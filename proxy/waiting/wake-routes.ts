/** `/wake-function/{fn}` and `/wake-functions`: wakes without calling. 204 says "asked for", not "awake". */
import type Router from 'koa-router';
import type { RouterContext } from 'koa-router';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';
import { visitOf } from '../callers/let-in.ts';
import type { Wake } from './wake.ts';

export function addWakeRoutes(router: Router, deps: { lookup: FunctionLookup; wake: Wake }): void {
  // With nobody waiting it is a wake of ReplicasAtStart: its sender is no caller.
  const wake = (entry: FunctionEntry): void => deps.wake(entry.id, entry.throttler.waiting);
  const wakeOne = (ctx: RouterContext): void => {
    const entry = deps.lookup.forFunction(ctx.req, ctx.params['name'] ?? '');
    entry.gate?.enter(visitOf(ctx.req));
    wake(entry);
    ctx.status = 204;
  };
  router.post('/wake-function/:name', wakeOne);
  router.get('/wake-function/:name', wakeOne);
  router.post('/wake-functions', (ctx) => {
    deps.lookup.visibleTo(ctx.req).forEach(wake);
    ctx.status = 204;
  });
}
