/** BEHAVIOURS.md, "Ending", as one pod sees it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { sleep } from '../../../common/runtime/lifecycle.ts';
import { isFasterThan, staysTrue, waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { reasonOf } from '../support/client.ts';
import { metricIs, sidecarFor } from '../support/sidecar.ts';

/** One retry after `delay` seconds. */
function retryAfter(delay: number): { 'sync-policy': string } {
  const policy = { httpTimeoutSeconds: 20, timeoutRetriesSeconds: [delay], httpStatusRetries: [503] };
  return { 'sync-policy': JSON.stringify(policy) };
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
    const drained = await sidecar.admin('/drain');
    assert.deepEqual([drained.status, app.count, app.running], [200, 6, 0]);
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
    const measure = async (): Promise<number> => {
      const sidecar = await sidecarFor(app.port);
      const begun = performance.now();
      await sidecar.admin('/drain');
      const drainedAt = performance.now();
      assert.ok(drainedAt - begun >= 250, 'time for the proxies that had chosen this pod');
      await sidecar.stop();
      const stoppedAt = performance.now();
      return Math.max(drainedAt - begun, 2 * (stoppedAt - drainedAt));
    };
    await isFasterThan(1_000, measure, { what: 'draining, or twice the stop after it,' });
  });

  it('an idle pod stays longer where a Service leads callers to it, but not beyond its time', async () => {
    await using app = await new App().listen();
    const drainOf = async (flags: { 'drain-settle-seconds': number; 'drain-seconds'?: number }) => {
      await using sidecar = await sidecarFor(app.port, { flags });
      const begun = performance.now();
      await sidecar.admin('/drain');
      return performance.now() - begun;
    };
    assert.ok((await drainOf({ 'drain-settle-seconds': 1.5 })) >= 1_450);
    assert.ok((await drainOf({ 'drain-settle-seconds': 60, 'drain-seconds': 0.5 })) < 30_000);
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
    assert.equal((await sidecar.call()).status, 200, 'the app is still there, and so is who serves it');
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
    await using early = await sidecarFor(app.port, { flags: { ...retryAfter(0.5), 'drain-seconds': 10 } });
    const call = early.call();
    await metricIs(early, 'slimfaas_sidecar_retries_total', 1);
    await early.admin('/drain');
    assert.equal((await call).status, 200);

    const { handler, held } = holding();
    await using tardy = await new App(handler).listen();
    await using late = await sidecarFor(tardy.port, { flags: { ...retryAfter(10), 'drain-seconds': 5 } });
    const failed = late.call();
    await waitFor(() => held.length === 1, { what: 'its first try runs' });
    const drained = late.admin('/drain');
    await waitFor(async () => (await late.admin('/ready')).status === 503, { what: 'draining' });
    held.shift()?.writeHead(503).end();
    assert.equal((await failed).status, 503);
    await drained;
    assert.equal(tardy.count, 1);
    assert.ok((await late.metric('slimfaas_sidecar_drain_seconds')) < 5, 'nobody waited for a second try');
  });

  it('is over at its deadline, whatever still runs', async () => {
    await using app = await new App(() => undefined).listen();
    const sidecar = await sidecarFor(app.port, { flags: { 'drain-seconds': 0.5 } });
    const stuck = assert.rejects(sidecar.call());
    await metricIs(sidecar, 'slimfaas_sidecar_running', 1);
    const begun = performance.now();
    await sidecar.stop();
    assert.ok(performance.now() - begun < 10_000, 'the call itself would run for 120 s');
    await stuck;
  });

  it('after SIGTERM it stays until the app is gone, and tells who comes later that the pod ends', async () => {
    const { handler, held, releaseAll } = holding();
    await using app = await new App((req, res, nth) => {
      if (req.url === '/slow') handler(req, res, nth);
      else res.end('ok');
    }).listen();
    const sidecar = await sidecarFor(app.port, { flags: { 'outlive-app': 'yes' } });
    await sidecar.admin('/drain');
    let isOver = false;
    const stopped = sidecar.stop().then(() => (isOver = true));
    for (let i = 0; i < 3; i++)
      assert.equal((await sidecar.call()).status, 200, 'the app has a preStop of its own');
    const slow = sidecar.call('/slow');
    await waitFor(() => held.length === 1, { what: 'a call runs' });
    app.server.close(); // as an app that ends in order: no new connections, what runs is finished
    await waitFor(async () => reasonOf(await sidecar.call()) === 'shutting-down', { what: 'it says so' });
    assert.equal(isOver, false, 'a call still runs');
    releaseAll();
    assert.equal((await slow).body, 'held');
    await stopped;
  });

  it('after SIGTERM it waits for an app that does not end no longer than its own time', async () => {
    await using app = await new App().listen();
    const sidecar = await sidecarFor(app.port, { flags: { 'outlive-app': 'yes', 'drain-seconds': 1 } });
    await sidecar.stop();
    assert.ok(app.server.listening, 'as it did all the time');
  });

  it('it waits for the app only when told that the app ends too: a sidecar that restarts alone is back at once', async () => {
    await using app = await new App().listen();
    const flags = { 'outlive-app': 'if-told', 'drain-seconds': 600 };
    const alone = await sidecarFor(app.port, { flags });
    await alone.admin('/drain');
    await alone.stop();
    const told = await sidecarFor(app.port, { flags });
    await Promise.all([told.admin('/drain?container=app'), told.admin('/drain')]);
    let isOver = false;
    const stopped = told.stop().then(() => (isOver = true));
    assert.equal((await told.call()).status, 200);
    assert.equal(isOver, false);
    await app.close();
    await stopped;
  });

  it('drains for its own hooks alone: by GET and with the token of its pod', async () => {
    await using app = await new App().listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'drain-token': 'right' } });
    for (const path of [
      '/drain',
      '/drain?token=',
      '/drain?token=wrong',
      '/drain?container=app&token=rigth',
    ]) {
      const answer = await sidecar.admin(path);
      assert.equal(answer.status, 403, path);
      assert.match(answer.body, /own preStop hooks may drain it/);
    }
    assert.equal((await sidecar.admin('/drain?token=right', { method: 'POST' })).status, 405);
    assert.equal((await sidecar.proxyCall()).status, 200, 'nothing drains');
    assert.equal((await sidecar.admin('/drain?token=right')).status, 200);
    assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'draining');
  });

  it('takes calls again where no SIGTERM has followed within the grace period', async () => {
    await using app = await new App().listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'drain-seconds': 0.4 } });
    await sidecar.admin('/drain');
    assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'draining');
    await waitFor(async () => (await sidecar.proxyCall()).status === 200, { what: 'it serves again' });
    assert.equal((await sidecar.admin('/ready')).status, 200);
    assert.equal((await sidecar.admin('/drain')).status, 200, 'and ends as any other');
    assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'draining');
  });

  it('every container’s preStop waits for the same drain', async () => {
    const { handler, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await using sidecar = await sidecarFor(app.port);
    const running = sidecar.proxyCall();
    await metricIs(sidecar, 'slimfaas_sidecar_running', 1);
    let over = 0;
    const hooks = [1, 2, 3].map(() => sidecar.admin('/drain').then(({ status }) => ((over += 1), status)));
    await waitFor(async () => (await sidecar.admin('/ready')).status === 503, { what: 'draining' });
    await staysTrue(() => over === 0, { what: 'a call runs, so none may go', forMs: 500 });
    releaseAll();
    assert.equal((await running).status, 200);
    assert.deepEqual(await Promise.all(hooks), [200, 200, 200]);
  });
});
