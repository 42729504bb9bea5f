import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { numberOfValue } from '../../../scaler/promql/query.ts';
import { createRemotePrometheus } from '../../../scaler/promql/remote.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A real server whose answer each test sets. */
let answer: Answer = (_, response) => response.end();
let asked: { path?: string | undefined; body?: string } = {};
const server = createServer((request, response) => {
  void text(request).then((body) => {
    asked = { path: request.url, body };
    answer(request, response);
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
after(() => {
  server.closeAllConnections();
  server.close();
});

function json(status: number, value: unknown): Answer {
  return (_, response) => response.writeHead(status).end(JSON.stringify(value));
}

function success(resultType: string, result: unknown): Answer {
  return json(200, { status: 'success', data: { resultType, result } });
}

const remote = createRemotePrometheus({ url: `${origin}/prefix`, timeoutMs: 500 });

test('the query goes to /api/v1/query below the given URL, with the moment', async () => {
  answer = success('vector', [{ metric: { __name__: 'up', pod: 'a' }, value: [1.5, '3'] }]);
  const value = await remote.query('sum(up{x="ä"})', 1_500);
  assert.equal(asked.path, '/prefix/api/v1/query');
  assert.deepEqual(Object.fromEntries(new URLSearchParams(asked.body)), {
    query: 'sum(up{x="ä"})',
    time: '1.5',
  });
  assert.equal(value.type, 'vector');
  assert.equal(numberOfValue(value), 3);
});

test('scalars, several series, infinities and no data', async () => {
  const cases: readonly [Answer, number | undefined][] = [
    [success('scalar', [1, '2.5']), 2.5],
    [
      success('vector', [
        { metric: {}, value: [1, '1'] },
        { metric: {}, value: [1, '2'] },
      ]),
      2,
    ],
    [success('vector', []), undefined],
    [success('scalar', [1, 'NaN']), undefined],
    [success('scalar', [1, '+Inf']), undefined],
    [success('vector', [{ metric: {}, value: [1, '-Inf'] }]), undefined],
    [success('vector', [null]), undefined],
  ];
  for (const [given, expected] of cases) {
    answer = given;
    assert.equal(numberOfValue(await remote.query('x', 0)), expected);
  }
});

test('an error of Prometheus’s is told in its own words', async () => {
  answer = json(400, { status: 'error', errorType: 'bad_data', error: 'parse error: unexpected "+"' });
  await assert.rejects(remote.query('+', 0), { code: 'remote', message: /status 400: parse error/ });
});

test('whatever else comes is an error with a code', async () => {
  const bad: readonly Answer[] = [
    (_, response) => response.writeHead(502).end('<html>'),
    json(200, null),
    json(200, []),
    json(200, { status: 'success' }),
    success('matrix', []),
    success('vector', 'x'),
    (_, response) => response.destroy(),
    json(200, { status: 'success', data: { resultType: 'scalar', result: [1, '1'], pad: 'x'.repeat(5e6) } }),
  ];
  for (const given of bad) {
    answer = given;
    await assert.rejects(remote.query('x', 0), { code: 'remote' });
  }
});

test('a server that does not answer is given up after the timeout', async () => {
  answer = () => undefined;
  await assert.rejects(remote.query('x', 0), { code: 'remote' });
});

test('a caller who gives up is let go at once', async () => {
  answer = () => undefined;
  await assert.rejects(remote.query('x', 0, AbortSignal.abort()), { code: 'remote' });
});

test('no server at all', async () => {
  const nobody = createRemotePrometheus({ url: 'http://127.0.0.1:1', timeoutMs: 500 });
  await assert.rejects(nobody.query('x', 0), {
    code: 'remote',
    message: /no answer from http:\/\/127\.0\.0\.1:1/,
  });
});

test('its own words are cut, and what is no text is left out', async () => {
  const long = 'x'.repeat(200_000);
  answer = json(400, { status: 'error', error: long });
  await assert.rejects(remote.query('up', 0), { message: `status 400: ${'x'.repeat(200)}` });
  answer = json(400, { status: 'error', error: { toString: 1 } });
  await assert.rejects(remote.query('up', 0), { message: 'status 400: no success' });
  answer = success(long, []);
  await assert.rejects(remote.query('up', 0), {
    message: `a result of type ${'x'.repeat(200)} is no number`,
  });
});
