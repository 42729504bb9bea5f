/**
 * `/wake-function/{fn}` and `/wake-functions`: wakes without calling. 204 says "asked for", not "awake". Whoever may
 * call a function may wake it, because a call wakes it too; all of them at once are an operator's to wake.
 */
import type Router from 'koa-router';
import type { RouterContext } from 'koa-router';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';
import { visitOf } from '../callers/let-in.ts';
import type { Gate } from '../../common/access/gate.ts';
import type { Wake } from './wake.ts';

export function addWakeRoutes(
  router: Router,
  deps: { lookup: FunctionLookup; wake: Wake; gate: Gate },
): void {
  // With nobody waiting it is a wake of ReplicasAtStart: its sender is no caller.
  const wake = (entry: FunctionEntry): void => deps.wake(entry.id, entry.waiting);
  const wakeOne = async (ctx: RouterContext): Promise<void> => {
    const entry = deps.lookup.forFunction(ctx.req, ctx.params['name'] ?? '');
    await entry.gate?.enter(visitOf(ctx.req));
    wake(entry);
    ctx.status = 204;
  };
  router.post('/wake-function/:name', wakeOne);
  router.get('/wake-function/:name', wakeOne);
  router.post('/wake-functions', async (ctx) => {
    const namespace = ctx.query['namespace'];
    const isOne = typeof namespace === 'string' && namespace !== '';
    await deps.gate.check(ctx.req, { verb: 'create', subresource: 'wake', ...(isOne && { namespace }) });
    // A closed gate has asked whether all of them may be woken; an open one leaves it at what the caller may see.
    const all = deps.gate.isClosed ? deps.lookup.everything() : deps.lookup.visibleTo(ctx.req);
    for (const entry of all) {
      // At an open gate nobody has said who it is: functions that ask for that stay asleep.
      const mayWake = deps.gate.isClosed || entry.gate?.asksWho !== true;
      if (mayWake && (!isOne || entry.id.namespace === namespace)) wake(entry);
    }
    ctx.status = 204;
  });
}
