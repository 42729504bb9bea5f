/** The routes of asynchronous jobs: accept, look, cancel, report back. */
import type { IncomingMessage } from 'node:http';
import type Router from 'koa-router';
import type { RouterContext } from 'koa-router';
import { ReasonError } from '../../common/errors.ts';
import { HEADER } from '../../common/names.ts';
import { cutUnreadBody } from '../../common/reason-answer.ts';
import { serveHead, type RequestHead } from '../../common/relay/index.ts';
import type { FunctionEntry } from '../function-entry.ts';
import type { FunctionLookup } from '../function-lookup.ts';
import { parseFunctionTarget } from '../function-path.ts';
import { forwardHeaders, isEncrypted } from '../headers.ts';
import type { Ids } from '../ids.ts';
import { NodeCall, type ActiveCalls } from '../active-calls.ts';
import { acceptJob } from '../jobs/accept.ts';
import type { ProxyJobs } from '../jobs/proxy-jobs.ts';
import { plainAddress } from '../trust.ts';
import type { Wake } from '../wake.ts';

export interface JobRoutesDeps {
  readonly lookup: FunctionLookup;
  readonly ids: Ids;
  readonly wake: Wake;
  readonly active: ActiveCalls;
  readonly jobs: ProxyJobs;
}

const ACCEPT_PREFIX = '/async-function/';
/** `Prefer: wait` is cut here: longer waits meet timeouts of whatever stands in between. */
const WAIT_MAX_SECONDS = 120;

export function addJobRoutes(router: Router, deps: JobRoutesDeps): void {
  router.all(/^\/async-function\//, (ctx) => accept(ctx, deps));
  router.get('/async-function-job/:fn/:id', (ctx) => show(ctx, deps));
  router.delete('/async-function-job/:fn/:id', (ctx) => cancel(ctx, deps));
  router.post('/async-function-callback/:fn/:id/:outcome', (ctx) => callback(ctx, deps));
}

async function accept(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { method, path, headers } = serveHead(ctx.req);
  const target = parseFunctionTarget(path, ACCEPT_PREFIX);
  if (!target)
    throw new ReasonError('unknown-function', 'no function named: use /async-function/{name}/{path}');
  const entry = deps.lookup.forCall(ctx.req, target.name, target.path);
  const origin = {
    address: plainAddress(ctx.req.socket.remoteAddress ?? ''),
    isTls: isEncrypted(ctx.req.socket),
  };
  const head = { method, path: target.path, headers: forwardHeaders(headers, origin, deps.ids) };
  const begun = performance.now();
  try {
    const id = await takeJob(ctx, entry, head, deps);
    entry.account.series.jobAccepted((performance.now() - begun) / 1000);
    wakeIfAsleep(entry, deps.wake);
    ctx.set(HEADER.elementId, id);
    ctx.set('Location', `/async-function-job/${encodeURIComponent(target.name)}/${id}`);
    ctx.body = null;
    ctx.status = deps.jobs.acceptStatus; // last: Koa makes a null body 204
  } catch (error) {
    entry.account.series.jobRefused(error instanceof ReasonError ? error.code : 'error');
    if (!ctx.req.complete && ctx.req.httpVersionMajor === 1) ctx.set('Connection', 'close');
    ctx.res.once('finish', () => cutUnreadBody(ctx.req));
    throw error;
  }
}

/** Counted among the calls that the proxy finishes before it ends, and cut when its client is too slow. */
async function takeJob(
  { req, res }: RouterContext,
  entry: FunctionEntry,
  head: RequestHead,
  { active, jobs }: JobRoutesDeps,
): Promise<string> {
  const call = new NodeCall(req, res);
  active.add(call);
  const isExpecting = req.headers.expect?.toLowerCase() === '100-continue';
  const begin = (): void => {
    if (isExpecting) res.writeContinue();
  };
  try {
    return await acceptJob(entry.id, head, { req, begin }, jobs.accept);
  } finally {
    active.remove(call);
  }
}

/** The scaler sees the queue within a tick; a function at zero should not wait for that. */
function wakeIfAsleep(entry: FunctionEntry, wake: Wake): void {
  if (entry.pods.ready.length === 0) wake(entry.id, Math.max(1, entry.throttler.waiting));
}

async function show(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { entry, id } = jobOf(ctx, deps);
  const waitMs = waitSeconds(ctx.req) * 1000;
  const left = new AbortController();
  ctx.res.once('close', () => left.abort());
  const view =
    waitMs === 0
      ? await deps.jobs.query.view(entry.id, id)
      : await deps.jobs.query.viewAtEnd(entry.id, id, waitMs, left.signal);
  if (!view) throw unknownJob(id);
  ctx.body = view;
}

async function cancel(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { entry, id } = jobOf(ctx, deps);
  const outcome = await deps.jobs.query.cancel(entry.id, id);
  if (outcome === undefined) throw unknownJob(id);
  if (outcome !== 'cancelled')
    throw conflict(outcome === 'running' ? 'the job is running' : 'the job has ended');
  ctx.status = 204;
}

async function callback(ctx: RouterContext, deps: JobRoutesDeps): Promise<void> {
  const { entry, id } = jobOf(ctx, deps);
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

/** Knowing the id is the right to it; the function's visibility counts as on every route. */
function jobOf(ctx: RouterContext, deps: JobRoutesDeps): { entry: FunctionEntry; id: string } {
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
