/** BEHAVIOURS.md, "Ending", as one pod sees it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { sleep } from '../../common/lifecycle.ts';
import { waitFor } from '../helpers/wait.ts';
import { App, holding } from './support/app.ts';
import { reasonOf } from './support/client.ts';
import { metricIs, sidecarFor } from './support/sidecar.ts';

/** A drain of one second, and one retry after `delay` seconds. */
function endingSoon(delay: number): Record<string, string | number> {
  const policy = { httpTimeoutSeconds: 5, timeoutRetriesSeconds: [delay], httpStatusRetries: [503] };
  return { 'drain-seconds': 1, 'sync-policy': JSON.stringify(policy) };
}

describe('sidecar: draining', () => {
  it('behaviour 21: staggered calls run while the pod ends: all answered, then it is drained', async () => {
    await using app = await new App((_req, res) => setTimeout(() => res.end('done'), 800)).listen();
    await using sidecar = await sidecarFor(app.port);
    const calls: Promise<{ status: number }>[] = [];
    for (let i = 0; i < 6; i++) {
      calls.push(sidecar.proxyCall());
      await sleep(50);
    }
    let answered = 0;
    for (const call of calls) void call.then(() => (answered += 1));
    const drained = await sidecar.admin('/drain');
    assert.deepEqual([drained.status, answered], [200, 6]);
    assert.deepEqual(
      (await Promise.all(calls)).map((answer) => answer.status),
      Array.from({ length: 6 }, () => 200),
    );
  });

  it('behaviour 21: SIGTERM without a preStop drains as well', async () => {
    await using app = await new App((_req, res) => setTimeout(() => res.end('done'), 600)).listen();
    const sidecar = await sidecarFor(app.port);
    const call = sidecar.call();
    await metricIs(sidecar, 'slimfaas_sidecar_running', 1);
    await sidecar.stop();
    assert.equal((await call).status, 200);
  });

  it('behaviour 21: a caller who reads slowly gets the whole of an answer that the app has long finished', async () => {
    const size = 3_000_000; // less than what sockets and relay hold between app and caller, more than one write
    await using app = await new App((_req, res) => void res.end(Buffer.alloc(size))).listen();
    const sidecar = await sidecarFor(app.port);
    const req = request({ host: '127.0.0.1', port: sidecar.port, agent: false }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    res.pause();
    const stopped = sidecar.stop();
    await sleep(700);
    let received = 0;
    for await (const chunk of res) received += (chunk as Buffer).length;
    assert.equal(received, size);
    await stopped;
  });

  it('behaviour 22: an idle pod is drained within a second, and stops at once after that', async () => {
    await using app = await new App().listen();
    const sidecar = await sidecarFor(app.port);
    const begun = performance.now();
    await sidecar.admin('/drain');
    const drainedAt = performance.now();
    assert.ok(drainedAt - begun >= 250, 'time for the proxies that had chosen this pod');
    assert.ok(drainedAt - begun < 1_000, `drained after ${drainedAt - begun} ms`);
    await sidecar.stop();
    assert.ok(performance.now() - drainedAt < 500);
  });

  it('refuses proxies from the first moment and still serves direct callers, closing their connections', async () => {
    const { handler, releaseAll } = holding();
    await using app = await new App((req, res, nth) => {
      if (req.url === '/slow') handler(req, res, nth);
      else res.end('ok');
    }).listen();
    await using sidecar = await sidecarFor(app.port);
    const slow = sidecar.proxyCall('/slow');
    await waitFor(() => app.running === 1, { what: 'the slow call runs' });
    const drained = sidecar.admin('/drain');
    await waitFor(async () => (await sidecar.admin('/ready')).status === 503, { what: 'draining' });
    const refused = await sidecar.proxyCall();
    assert.deepEqual([refused.status, refused.headers['slimfaas-refused']], [503, 'draining']);
    const direct = await sidecar.call('/', { headers: { Connection: 'keep-alive' } });
    assert.deepEqual([direct.status, direct.headers.connection], [200, 'close']);
    assert.equal((await sidecar.admin('/health')).status, 200);
    releaseAll();
    assert.equal((await slow).status, 200);
    assert.equal((await drained).status, 200);
    const late = await sidecar.call();
    assert.deepEqual([late.status, reasonOf(late)], [503, 'shutting-down']);
    assert.ok((await sidecar.metric('slimfaas_sidecar_drain_seconds')) > 0);
  });

  it('serves who was queued when the drain began', async () => {
    await using app = await new App((_req, res) => setTimeout(() => res.end('ok'), 200)).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
    const calls = [sidecar.call(), sidecar.call(), sidecar.call()];
    await metricIs(sidecar, 'slimfaas_sidecar_waiting', 2);
    await sidecar.admin('/drain');
    assert.deepEqual(
      (await Promise.all(calls)).map((answer) => answer.status),
      [200, 200, 200],
    );
  });

  it('waits for a call that sleeps between two tries, but not for a try that would come too late', async () => {
    await using app = await new App(
      (_req, res, nth) => void res.writeHead(nth === 1 ? 503 : 200).end(),
    ).listen();
    await using early = await sidecarFor(app.port, { flags: endingSoon(0.5) });
    const call = early.call();
    await metricIs(early, 'slimfaas_sidecar_retries_total', 1);
    await early.admin('/drain');
    assert.equal((await call).status, 200);

    await using tardy = await new App((_req, res) =>
      setTimeout(() => res.writeHead(503).end(), 300),
    ).listen();
    await using late = await sidecarFor(tardy.port, { flags: endingSoon(1.5) });
    const failed = late.call();
    await metricIs(late, 'slimfaas_sidecar_running', 1);
    await late.admin('/drain');
    assert.deepEqual([(await failed).status, tardy.count], [503, 1]);
  });

  it('is over at its deadline, whatever still runs', async () => {
    await using app = await new App(() => undefined).listen();
    const sidecar = await sidecarFor(app.port, { flags: { 'drain-seconds': 0.5 } });
    const stuck = assert.rejects(sidecar.call());
    await metricIs(sidecar, 'slimfaas_sidecar_running', 1);
    const begun = performance.now();
    await sidecar.stop();
    assert.ok(performance.now() - begun < 1_500);
    await stuck;
  });

  it('every container’s preStop waits for the same drain', async () => {
    await using app = await new App().listen();
    await using sidecar = await sidecarFor(app.port);
    const begun = performance.now();
    await Promise.all([sidecar.admin('/drain'), sidecar.admin('/drain'), sidecar.admin('/drain')]);
    assert.ok(performance.now() - begun < 1_000);
  });
});
