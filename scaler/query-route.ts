/**
 * `POST /debug/promql/eval` `{"query": "…", "time"?}`: what the scaler sees. `time` is seconds since 1970 or an ISO
 * date; without it, now. Only the leader scrapes, so a follower passes the question on; without a leader it
 * answers from what it can scrape itself.
 */
import type { IncomingMessage } from 'node:http';
import type Koa from 'koa';
import type Router from 'koa-router';
import { METRIC_NAME, type Labels } from './promql/labels.ts';
import { numberOfValue, PromqlError, type Value } from './promql/query.ts';
import { FORWARDED } from './server.ts';

export interface QueryRouteDeps {
  readonly ask: (query: string, atMs: number | undefined) => Promise<Value>;
  /** Undefined: nobody leads, or it is we. */
  readonly leaderUrl: () => string | undefined;
}

const PATH = '/debug/promql/eval';
/** A query has at most 10,000 characters. */
const MAX_BODY = 64 * 1024;
/** An answer is for people; a range over thousands of series is a mistake in the query. */
const MAX_POINTS = 20_000;
const LEADER_TIMEOUT_MS = 10_000;

/** What is wrong with the request itself. */
class BadRequest extends Error {}

export function addQueryRoute(router: Router, deps: QueryRouteDeps): void {
  router.post(PATH, async (ctx) => {
    try {
      const text = await readBody(ctx.req);
      const leader = ctx.get(FORWARDED) ? undefined : deps.leaderUrl();
      if (leader !== undefined && (await passOn(ctx, leader, text))) return;
      const { query, atMs } = readQuestion(text);
      ctx.body = { query, ...view(await deps.ask(query, atMs)) };
    } catch (error) {
      ctx.status = error instanceof PromqlError && error.code === 'remote' ? 502 : 400;
      ctx.body = fault(error);
    }
  });
}

function fault(error: unknown): object {
  if (error instanceof BadRequest) return { error: 'bad-request', message: error.message };
  if (!(error instanceof PromqlError)) throw error;
  // Positions are for people: the first character is 1, as in the message.
  const place = error.position === undefined ? {} : { position: error.position + 1 };
  return { error: error.code, message: error.message, ...place };
}

function readQuestion(text: string): { query: string; atMs: number | undefined } {
  const { query, time } = parseObject(text);
  if (typeof query !== 'string' || query === '')
    throw new BadRequest('the body is {"query": "<PromQL>", "time": <seconds or ISO date, optional>}');
  if (time === undefined || time === null) return { query, atMs: undefined };
  const atMs = typeof time === 'number' ? time * 1_000 : Date.parse(String(time));
  if (!Number.isFinite(atMs))
    throw new BadRequest(`time is ${JSON.stringify(time)}; use seconds since 1970 or an ISO date`);
  return { query, atMs };
}

function parseObject(text: string): { query?: unknown; time?: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as object;
  } catch {
    throw new BadRequest('the body is not JSON');
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new BadRequest(`the body is above ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** @returns false when the leader gave no answer */
async function passOn(ctx: Koa.Context, leader: string, body: string): Promise<boolean> {
  try {
    const answer = await fetch(`${leader}${PATH}`, {
      method: 'POST',
      body,
      headers: { [FORWARDED]: '1' },
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

/** `number`: what a trigger with this query gets; null is no data. Values are text, for JSON has no NaN. */
function view(value: Value): object {
  const number = numberOfValue(value) ?? null;
  switch (value.type) {
    case 'scalar':
      return { type: 'scalar', number, value: textOf(value.value) };
    case 'string':
      return { type: 'string', number, value: value.value };
    case 'vector':
      bound(value.samples.length);
      return {
        type: 'vector',
        number,
        series: value.samples.map((s) => ({ labels: plain(s.labels), value: textOf(s.value) })),
      };
    default:
      return matrixView(value, number);
  }
}

function matrixView({ matrix }: Extract<Value, { type: 'matrix' }>, number: number | null): object {
  bound(matrix.series.reduce((sum, { times }) => sum + times.length, 0));
  const series = matrix.series.map(({ labels, times, values }) => ({
    labels: plain(labels),
    points: times.map((timeMs, i) => [timeMs / 1_000, textOf(values[i] ?? Number.NaN)]),
  }));
  return { type: 'matrix', number, series };
}

function bound(points: number): void {
  if (points > MAX_POINTS)
    throw new PromqlError('too-expensive', `${points} points in the answer; at most ${MAX_POINTS} are shown`);
}

function plain(labels: Labels): object {
  // The name first, as people write it.
  const name = labels.get(METRIC_NAME);
  const rest = [...labels].filter(([key]) => key !== METRIC_NAME);
  return Object.fromEntries(name === undefined ? rest : [[METRIC_NAME, name], ...rest]);
}

/** As Prometheus writes numbers. */
function textOf(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
