/** Sync retries on the spot, as a caller and as the function see them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding, type Handler } from '../support/app.ts';
import { metricIs, sidecarFor } from '../support/sidecar.ts';

const DELAYS = [0.05, 0.1, 0.2];

function policyFlags(changes: Record<string, unknown> = {}): Record<string, string> {
  const policy = { httpTimeoutSeconds: 5, timeoutRetriesSeconds: DELAYS, httpStatusRetries: [502, 503] };
  return { 'sync-policy': JSON.stringify({ ...policy, ...changes }) };
}

/** Fails the first `times` requests with `status`, then echoes. */
function failing(times: number, status: number, headers: Record<string, string> = {}): Handler {
  return (req, res, nth) => {
    if (nth > times) return void req.pipe(res);
    req.resume();
    req.once('end', () => res.writeHead(status, headers).end(`try ${nth}`));
  };
}

describe('sidecar: sync retries', () => {
  it('tries again after 503 with the policy’s delays, until an answer comes', async () => {
    await using app = await new App(failing(2, 503)).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    const answer = await sidecar.call();
    assert.deepEqual([answer.status, app.count], [200, 3]);
    const [first, second, third] = app.arrivals.map((arrival) => arrival.atMs) as [number, number, number];
    assert.ok(second - first >= 49 && third - second >= 99, 'never sooner than the policy says');
    assert.equal(await sidecar.metric('slimfaas_sidecar_retries_total'), 2);
  });

  it('forwards the last answer as it is when the tries are used up', async () => {
    await using app = await new App(failing(9, 503)).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    const answer = await sidecar.call();
    assert.deepEqual([answer.status, answer.body, app.count], [503, 'try 4', 4]);
  });

  it('does not ask again for an answer that is not HTTP/1.1, and names the header', async () => {
    for (const [header, twice] of [
      ['Transfer-Encoding', 'chunked'],
      ['Content-Length', '2'],
    ] as const) {
      await using app = await new App((_req, res) => {
        const head = `${header}: ${twice}\r\n${header}: ${twice}\r\n`;
        res.socket?.end(`HTTP/1.1 200 OK\r\n${head}\r\n0\r\n\r\n`);
      }).listen();
      await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
      const answer = await sidecar.call();
      assert.deepEqual([answer.status, app.count], [502, 1]);
      assert.match(answer.body, new RegExp(`more than one ${header} header`));
    }
  });

  it('does not try a POST again that reached the function', async () => {
    await using app = await new App(failing(1, 503)).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    const answer = await sidecar.call('/', { method: 'POST', body: 'order' });
    assert.deepEqual([answer.status, app.count], [503, 1]);
  });

  it('does so with an Idempotency-Key, the body given again byte for byte', async () => {
    await using app = await new App(failing(2, 502)).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    const body = Buffer.alloc(200_000, 'order');
    const headers = { 'Idempotency-Key': 'k1' };
    const answer = await sidecar.call('/', { method: 'POST', body, headers });
    assert.deepEqual([answer.status, app.count], [200, 3]);
    assert.ok(Buffer.from(answer.body, 'latin1').equals(body));
  });

  it('does so where the annotation sets TimeoutRetries itself', async () => {
    await using app = await new App(failing(1, 503)).listen();
    const flags = policyFlags({ retriesSetByUser: true });
    await using sidecar = await sidecarFor(app.port, { flags });
    assert.equal((await sidecar.call('/', { method: 'POST', body: 'x' })).status, 200);
  });

  it('does not try again what it could not keep: a body above 1 MiB', async () => {
    await using app = await new App(failing(1, 503)).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    const answer = await sidecar.call('/', { method: 'PUT', body: Buffer.alloc(1_048_577) });
    assert.deepEqual([answer.status, app.count], [503, 1]);
  });

  it('tries a GET again whose connection broke before the answer began', async () => {
    await using app = await new App((req, res, nth) => {
      if (nth === 1) req.socket.resetAndDestroy();
      else res.end('second');
    }).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    assert.equal((await sidecar.call()).body, 'second');
  });

  it('answers 502 to a POST whose connection broke: it may have run', async () => {
    await using app = await new App((req) => req.socket.resetAndDestroy()).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    const answer = await sidecar.call('/', { method: 'POST', body: 'x' });
    assert.deepEqual([answer.status, app.count], [502, 1]);
  });

  it('heeds the function’s Retry-After', async () => {
    await using app = await new App(failing(1, 503, { 'Retry-After': '1' })).listen();
    await using sidecar = await sidecarFor(app.port, { flags: policyFlags() });
    assert.equal((await sidecar.call()).status, 200);
    const [first, second] = app.arrivals.map((arrival) => arrival.atMs) as [number, number];
    assert.ok(second - first >= 999);
  });

  it('a caller who leaves between two tries is not tried for again', async () => {
    await using app = await new App(failing(9, 503)).listen();
    const flags = policyFlags({ timeoutRetriesSeconds: [30] });
    await using sidecar = await sidecarFor(app.port, { flags });
    const leaving = new AbortController();
    const left = sidecar.call('/', { signal: leaving.signal });
    await metricIs(sidecar, 'slimfaas_sidecar_retries_total', 1);
    leaving.abort();
    await assert.rejects(left);
    await metricIs(sidecar, 'slimfaas_sidecar_requests_total', 1);
    assert.equal(app.count, 1);
  });

  it('one who comes back for a retry goes before those who arrived after him', async () => {
    const { handler, releaseAll } = holding();
    await using app = await new App((req, res, nth) => {
      if (nth === 1) res.writeHead(503).end();
      else handler(req, res, nth);
    }).listen();
    const flags = { ...policyFlags(), 'parallel-per-pod': 1 };
    await using sidecar = await sidecarFor(app.port, { flags });
    const calls = [sidecar.call('/first')];
    await waitFor(() => app.count === 1, { what: 'the first try' });
    calls.push(sidecar.call('/second'));
    await waitFor(() => app.count === 2, { what: 'the second caller has the place' });
    calls.push(sidecar.call('/third'));
    await metricIs(sidecar, 'slimfaas_sidecar_waiting', 2);
    releaseAll();
    await Promise.all(calls);
    assert.deepEqual(
      app.arrivals.map((arrival) => arrival.url),
      ['/first', '/second', '/first', '/third'],
    );
  });
});
