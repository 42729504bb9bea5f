/** `slimfaas query` and `slimfaas status NAME`: what the scaler sees and why it decided, for people. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { answerText } from '../../cli/client/query.ts';
import { decisionText } from '../../cli/client/status.ts';
import { serve } from '../helpers/serve.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

async function slimfaas(...args: string[]) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { stdout, stderr, code: code as number };
}

const serveUrl = async (...args: Parameters<typeof serve>): Promise<string> =>
  `http://${await serve(...args)}`;

const decision = (n: number, to: number) => ({
  at: `2026-01-05T12:00:0${n}.000Z`,
  from: 0,
  to,
  kind: to > 0 ? 'wake' : 'asleep',
  reason: `reason ${n}`,
  numbers: { ready: 0, running: 1, waiting: n, jobs: 3, idleForSeconds: 9 },
});

test('query sends the text and the moment, and prints the series and what a trigger gets', async (t) => {
  const asked: unknown[] = [];
  const url = await serveUrl(t, async (request, response) => {
    asked.push([request.method, request.url, JSON.parse(await text(request))]);
    const series = [{ labels: { __name__: 'x', function: 'fib' }, value: '2' }];
    response.end(JSON.stringify({ query: 'x', type: 'vector', number: 2, series }));
  });
  const now = await slimfaas('query', 'x', '--scaler-url', url);
  assert.match(now.stdout, /x\{function="fib"\} +2\n\na trigger gets 2/);
  await slimfaas('query', 'x', '--scaler-url', url, '--time', '1700000000');
  const json = await slimfaas('query', 'x', '--scaler-url', url, '--time', '2026-01-01', '--json');
  assert.equal((JSON.parse(json.stdout) as { number: number }).number, 2);
  const at = (body: object) => ['POST', '/debug/promql/eval', { query: 'x', ...body }];
  assert.deepEqual(asked, [at({}), at({ time: 1_700_000_000 }), at({ time: '2026-01-01' })]);
});

test('query shows where a query is wrong, exit 1', async (t) => {
  const fault = { error: 'syntax', message: 'unexpected end at position 5', position: 5 };
  const url = await serveUrl(t, (_request, response) => response.writeHead(400).end(JSON.stringify(fault)));
  const { stderr, code } = await slimfaas('query', 'sum(', '--scaler-url', url);
  assert.match(stderr, /400: unexpected end at position 5\n {2}sum\(\n {6}\^\n/);
  assert.equal(code, 1);
});

test('query names a scaler that does not answer, and refuses an address that is none', async () => {
  const absent = await slimfaas('query', 'x', '--scaler-url', 'http://127.0.0.1:1');
  assert.match(absent.stderr, /no answer from http:\/\/127\.0\.0\.1:1\/debug.*is the scaler there/);
  assert.equal(absent.code, 1);
  const wrong = await slimfaas('query', 'x', '--scaler-url', 'nowhere');
  assert.match(wrong.stderr, /--scaler-url: "nowhere" is not a URL/);
  assert.equal(wrong.code, 2);
});

test('answers of every type are text that can be read', () => {
  assert.equal(answerText({ type: 'scalar', number: 3, value: '3' }), '3');
  assert.match(answerText({ type: 'vector', number: null, series: [] }), /no data/);
  const nan = { type: 'vector', number: null, series: [{ labels: {}, value: 'NaN' }] } as const;
  assert.match(answerText(nan), /a trigger gets no data/);
  const points = [[0, '1'] as const, [15, '2'] as const];
  const matrix = { type: 'matrix', number: null, series: [{ labels: { __name__: 'x' }, points }] } as const;
  assert.deepEqual(answerText(matrix).split('\n'), [
    'SERIES  TIME                      VALUE',
    'x{}     1970-01-01T00:00:00.000Z  1',
    '        1970-01-01T00:00:15.000Z  2',
  ]);
});

const fib = {
  Name: 'fib',
  Namespace: 'a',
  NumberReady: 1,
  NumberRequested: 2,
  PodType: 'Deployment',
  Visibility: 'Public',
};

test('status NAME shows the decisions of the scaler with their numbers, newest first, beside the table', async (t) => {
  const proxy = await serveUrl(t, (_request, response) => response.end(JSON.stringify([fib])));
  const asked: (string | undefined)[] = [];
  const scaler = await serveUrl(t, (request, response) => {
    asked.push(request.url);
    const decisions = [decision(1, 1), decision(2, 0)];
    const troubles = [{ kind: 'quota', message: 'exceeded' }];
    response.end(JSON.stringify({ decisions, troubles, faults: ['SlimFaas/Scale: no'] }));
  });
  const urls = ['--proxy-url', proxy, '--scaler-url', scaler];
  const { stdout } = await slimfaas('status', 'fib', ...urls);
  assert.match(stdout, /a +fib +1 +2 +Deployment +Public/);
  assert.match(stdout, /0 → 1 +wake +reason 1 +0 ready, 1 running, 1 waiting, 3 jobs, idle 9 s/);
  assert.ok(stdout.indexOf('reason 2') < stdout.indexOf('reason 1'), stdout);
  assert.match(stdout, /pods do not come up: quota: exceeded\nfault: SlimFaas\/Scale: no/);
  assert.deepEqual(asked, ['/functions/a/fib']);
  const [json] = JSON.parse((await slimfaas('status', 'fib', '--json', ...urls)).stdout) as [
    { Name: string; Scaler: { decisions: unknown[] } },
  ];
  assert.deepEqual([json.Name, json.Scaler.decisions.length], ['fib', 2]);
  assert.doesNotMatch((await slimfaas('status', ...urls)).stdout, /reason/, 'without a name: the table only');
});

test('status NAME says in one line that the scaler cannot be reached, and shows the rest', async (t) => {
  const proxy = await serveUrl(t, (_request, response) => response.end(JSON.stringify([fib])));
  const { stdout, code } = await slimfaas(
    'status',
    'fib',
    '--proxy-url',
    proxy,
    '--scaler-url',
    'http://127.0.0.1:1',
  );
  assert.match(stdout, /a +fib +1 +2/);
  assert.match(
    stdout,
    /\n\ndecisions are not shown: no answer from http:\/\/127\.0\.0\.1:1\/functions\/a\/fib.*\n$/,
  );
  assert.equal(code, 0);
});

test('a function that nothing was decided for yet says so', () => {
  assert.equal(decisionText({ decisions: [], faults: [], troubles: [] }), 'nothing decided yet');
});
