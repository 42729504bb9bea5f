/** A sidecar before an app that speaks HTTP/2: callers, limits, retries, drain and jobs as with any other app. */
import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { test } from 'node:test';
import { resetStream } from '../../../common/http2/stream-end.ts';
import { bodyOf, h2Upstream, type Arrival } from './http2/upstream.ts';
import { App, APP_HOST } from '../support/app.ts';
import { reasonOf } from '../support/client.ts';
import { policy, startJobWorld } from '../support/job-world.ts';
import { sidecarFor } from '../support/sidecar.ts';

const H2C = {
  'app-host': '127.0.0.1',
  'app-protocol': 'h2c',
};

function answer({ stream }: Arrival, status: number, text = ''): void {
  stream.respond([':status', String(status), 'content-type', 'text/plain']);
  stream.end(text);
}

test('a caller over HTTP/1.1 does not notice', async (t) => {
  const up = await h2Upstream(t, (arrival) => {
    void bodyOf(arrival.stream).then((text) => answer(arrival, 200, `${arrival.headers[':path']} ${text}`));
  });
  await using sidecar = await sidecarFor(up.target.port, { flags: H2C });
  const { status, body, headers } = await sidecar.proxyCall('/a?b', { method: 'POST', body: 'hello' });
  assert.deepEqual([status, body, headers['slimfaas-load']], [200, '/a?b hello', '1/10']);
  assert.equal(up.arrivals[0]?.headers['slimfaas-queue'], undefined);
});

test('statuses are retried by policy, a broken POST is not, a refused one is', async (t) => {
  const up = await h2Upstream(t, (arrival) => {
    const path = arrival.headers[':path'];
    const nth = up.arrivals.filter(({ headers }) => headers[':path'] === path).length;
    if (nth > 1) return answer(arrival, 200, String(nth));
    if (path === '/503') return answer(arrival, 503);
    const code = path === '/refused' ? constants.NGHTTP2_REFUSED_STREAM : constants.NGHTTP2_INTERNAL_ERROR;
    return resetStream(arrival.stream, code);
  });
  await using sidecar = await sidecarFor(up.target.port, {
    flags: { ...H2C, 'sync-policy': policy([0.05, 0.05]) },
  });
  assert.equal((await sidecar.call('/503')).body, '2');
  const refused = await sidecar.call('/refused', { method: 'POST', body: 'x' });
  assert.deepEqual([refused.status, refused.body], [200, '2']);
  const broken = await sidecar.call('/broken', { method: 'POST', body: 'x' });
  assert.deepEqual([broken.status, reasonOf(broken)], [502, 'upstream-failed']);
  assert.equal((await sidecar.call('/broken-get')).body, '2');
});

test('an app of HTTP/1.1 that was called one of HTTP/2: the answer says what to change', async () => {
  await using app = await new App().listen();
  await using sidecar = await sidecarFor(app.port, {
    flags: { ...H2C, 'app-host': APP_HOST, 'sync-policy': policy([]) },
  });
  for (const { status, body } of [await sidecar.call('/'), await sidecar.proxyCall('/')]) {
    assert.equal(status, 502);
    assert.match(body, /slimfaas\.dev\/app-protocol/);
  }
});

test('the limit holds and a drain waits for what runs', async (t) => {
  const up = await h2Upstream(t, () => undefined);
  const sidecar = await sidecarFor(up.target.port, { flags: { ...H2C, 'parallel-per-pod': 1 } });
  const running = sidecar.proxyCall('/');
  while (up.arrivals.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = await sidecar.proxyCall('/');
  assert.deepEqual([second.status, second.headers['slimfaas-refused']], [503, 'full']);
  const stopped = sidecar.stop();
  answer(up.arrivals[0] as Arrival, 200, 'whole');
  assert.equal((await running).body, 'whole');
  await stopped;
});

test('jobs run in it', async (t) => {
  const up = await h2Upstream(t, (arrival) => {
    void bodyOf(arrival.stream).then((text) => answer(arrival, 200, `done ${text}`));
  });
  await using world = await startJobWorld();
  await world.sidecar(up.target.port, { ...H2C, 'async-policy': policy([]) });
  const job = await world.publish({ path: '/job' }, 'work');
  const state = await world.ended(job);
  assert.ok(state.state === 'done' && state.result);
  assert.equal(Buffer.from(state.result.body, 'base64').toString(), 'done work');
  assert.equal(up.arrivals[0]?.headers['slimfaas-try-number'], '0');
});
