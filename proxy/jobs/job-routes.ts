/** The routes of jobs that were accepted: look, cancel, report back. */
import type { IncomingMessage } from 'node:http';
import type Router from 'koa-router';
import type { RouterContext } from 'koa-router';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';
import { visitOf } from '../callers/let-in.ts';
import { isOutside } from '../edge/outside.ts';
import type { ProxyJobs } from './proxy-jobs.ts';
import type { JobView } from './query.ts';

export interface JobRoutesDeps {
  readonly lookup: FunctionLookup;
  readonly jobs: ProxyJobs;
}

/** `Prefer: wait` is cut here: longer waits meet timeouts of whatever stands in between. */
const WAIT_MAX_SECONDS = 120;

export function addJobRoutes(router: Router, deps: JobRoutesDeps): void {
  router.get('/async-function-job/:fn/:id', (ctx) => show(ctx, deps));
  router.delete('/async-function-job/:fn/:id', (ctx) => cancel(ctx, deps));
  router.post('/async-function-callback/:fn/:id/:outcome', (ctx) => callback(ctx, deps));
}

async function show(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { entry, id } = await jobOf(ctx, deps);
  const waitMs = waitSeconds(ctx.req) * 1000;
  const left = new AbortController();
  ctx.res.once('close', () => left.abort());
  const view =
    waitMs === 0
      ? await deps.jobs.query.view(entry.id, id)
      : await deps.jobs.query.viewAtEnd(entry.id, id, waitMs, left.signal);
  if (!view) throw unknownJob(id);
  ctx.body = isOutside(ctx.req.socket) ? jobForOutside(view) : view;
}

/** Without names of pods and errors that hold addresses: those are for callers inside the cluster. */
export function jobForOutside(view: JobView): object {
  const { tries, why: _, ...kept } = view;
  return { ...kept, tries: tries.map(({ startedAt, endedAt }) => ({ startedAt, endedAt })) };
}

async function cancel(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { entry, id } = await jobOf(ctx, deps);
  const outcome = await deps.jobs.query.cancel(entry.id, id);
  if (outcome === undefined) throw unknownJob(id);
  if (outcome !== 'cancelled')
    throw conflict(outcome === 'running' ? 'the job is running' : 'the job has ended');
  ctx.status = 204;
}

async function callback(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { entry, id } = jobOfFunction(ctx, deps);
  const outcome = ctx.params['outcome'];
  if (outcome !== 'success' && outcome !== 'error') {
    throw new ReasonError('bad-request', `a callback ends in /success or /error, not /${outcome}`);
  }
  const answer = await deps.jobs.query.ask(entry.id, { kind: 'callback', elementId: id, outcome });
  if (answer === 'closed') return void (ctx.status = 204);
  if (answer === 'running') throw conflict('the function has not answered 202 to this job yet');
  const view = await deps.jobs.query.view(entry.id, id);
  if (!view) throw unknownJob(id);
  throw conflict(`the job is ${view.state} and waits for no callback`);
}

/** Whoever may call the function and knows the id. */
async function jobOf(ctx: RouterContext, deps: JobRoutesDeps): Promise<{ entry: FunctionEntry; id: string }> {
  const job = jobOfFunction(ctx, deps);
  const { gate } = job.entry;
  if (gate?.asksWho) await gate.enter(visitOf(ctx.req));
  return job;
}

/** Knowing the id is the right to it; the function's visibility counts as on every route. */
function jobOfFunction(ctx: RouterContext, deps: JobRoutesDeps): { entry: FunctionEntry; id: string } {
  const entry = deps.lookup.forFunction(ctx.req, ctx.params['fn'] ?? '');
  return { entry, id: ctx.params['id'] ?? '' };
}

/** RFC 7240: `Prefer: wait=10`. */
function waitSeconds(req: IncomingMessage): number {
  const match = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})/i.exec(String(req.headers['prefer'] ?? ''));
  return match ? Math.min(WAIT_MAX_SECONDS, Number(match[1])) : 0;
}

function unknownJob(id: string): ReasonError {
  return new ReasonError(
    'unknown-job',
    `no job ${JSON.stringify(id)} of this function, or its result has expired`,
  );
}

function conflict(message: string): ReasonError {
  return new ReasonError('job-conflict', message);
}
