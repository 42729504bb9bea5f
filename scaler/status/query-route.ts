/**
 * `POST /debug/promql/eval` `{"query": "…", "time"?, "function"?}`: what the scaler sees. `time` is seconds since 1970
 * or an ISO date; without it, now. `function` is `<namespace>/<name>`: the query as that function's trigger means it. Only the leader scrapes, so a follower passes the question on; without a leader it
 * answers from what it can scrape itself.
 */
import type Koa from 'koa';
import type Router from 'koa-router';
import type { QueryScope } from '../promql/scope.ts';
import type { JsonAnswer } from '../queries/queries.ts';
import type { Gate } from '../../common/access/gate.ts';
import { tokenHeaders } from '../../common/access/token.ts';
import { FORWARDED } from './server.ts';
import { readText } from '../../common/relay/server/read-text.ts';

export interface QueryRouteDeps {
  readonly ask: (
    query: string,
    scope: QueryScope | undefined,
    atMs: number | undefined,
  ) => Promise<JsonAnswer>;
  readonly gate: Gate;
  /** Undefined: nobody leads, or it is we. */
  readonly leaderUrl: () => string | undefined;
}

const PATH = '/debug/promql/eval';
/** A query has at most 10,000 characters. */
const MAX_QUESTION_BYTES = 64 * 1024;
const LEADER_TIMEOUT_MS = 10_000;

/** What is wrong with the request itself. */
class BadRequest extends Error {}

export function addQueryRoute(router: Router, deps: QueryRouteDeps): void {
  router.post(PATH, async (ctx) => {
    try {
      const text = await readText(ctx.req, MAX_QUESTION_BYTES, tooLarge);
      const { query, scope, atMs } = readQuestion(text);
      // A scope narrows what is meant, not what may be seen: a query that names other functions sees those.
      await deps.gate.check(ctx.req, { verb: 'create', subresource: 'queries' });
      const leader = ctx.get(FORWARDED) ? undefined : deps.leaderUrl();
      if (leader !== undefined && (await passOn(ctx, leader, text))) return;
      const { status, json } = await deps.ask(query, scope, atMs);
      ctx.status = status;
      ctx.type = 'json';
      ctx.body = json;
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      ctx.status = 400;
      ctx.body = { error: 'bad-request', message: error.message };
    }
  });
}

interface AskedQuery {
  readonly query: string;
  readonly scope: QueryScope | undefined;
  readonly atMs: number | undefined;
}

const BODY =
  'the body is {"query": "<PromQL>", "time": <seconds or ISO date>, "function": "<namespace>/<name>"}, the last two optional';

function readQuestion(text: string): AskedQuery {
  const { query, time, function: fn } = parseObject(text);
  if (typeof query !== 'string' || query === '') throw new BadRequest(BODY);
  return { query, scope: readScope(fn), atMs: readTime(time) };
}

function readTime(time: unknown): number | undefined {
  if (time === undefined || time === null) return undefined;
  const atMs = typeof time === 'number' ? time * 1_000 : Date.parse(String(time));
  if (Number.isFinite(atMs)) return atMs;
  throw new BadRequest(`time is ${JSON.stringify(time)}; use seconds since 1970 or an ISO date`);
}

function readScope(fn: unknown): QueryScope | undefined {
  if (fn === undefined || fn === null) return undefined;
  const parts = typeof fn === 'string' ? /^([^/]+)\/([^/]+)$/.exec(fn) : undefined;
  if (parts) return { namespace: parts[1] as string, function: parts[2] as string };
  throw new BadRequest(`function is ${JSON.stringify(fn)}; use "<namespace>/<name>"`);
}

function parseObject(text: string): { query?: unknown; time?: unknown; function?: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as object;
  } catch {
    throw new BadRequest('the body is not JSON');
  }
}

/** @returns false when the leader gave no answer */
async function passOn(ctx: Koa.Context, leader: string, body: string): Promise<boolean> {
  try {
    const answer = await fetch(`${leader}${PATH}`, {
      method: 'POST',
      body,
      headers: { [FORWARDED]: '1', ...tokenHeaders(ctx.headers) },
      signal: AbortSignal.timeout(LEADER_TIMEOUT_MS),
    });
    const text = await answer.text();
    ctx.status = answer.status;
    ctx.type = 'json';
    ctx.body = text;
    return true;
  } catch {
    return false;
  }
}

function tooLarge(): BadRequest {
  return new BadRequest(`the body is above ${MAX_QUESTION_BYTES} bytes`);
}
