/** BEHAVIOURS.md, "Limiting (sidecar)": a real app behind a real sidecar, in this process and as one of its own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { reasonOf } from '../support/client.ts';
import { metricIs, sidecarFor as start, type SidecarSettings } from '../support/sidecar.ts';

const RUNNING = 'slimfaas_sidecar_running';
const WAITING = 'slimfaas_sidecar_waiting';

for (const isProcess of [false, true]) {
  const how = isProcess ? 'a process of its own' : 'in this process';
  const sidecarFor = (appPort: number, settings: SidecarSettings = {}) =>
    start(appPort, { ...settings, isProcess });

  describe(`sidecar: limiting (${how})`, () => {
    it('behaviour 1: limit L, queue Q, all full: one more is refused at once with 429 and Retry-After', async () => {
      const { handler, held, releaseAll } = holding();
      await using app = await new App(handler).listen();
      await using sidecar = await sidecarFor(app.port, {
        flags: { 'parallel-per-pod': 2, 'queue-limit': 3 },
      });
      const inside = Array.from({ length: 5 }, () => sidecar.call());
      await metricIs(sidecar, WAITING, 3);
      // "At once" is: while all are still held, which only the end of this test changes.
      const refused = await sidecar.call('/', { method: 'POST', body: 'never read' });
      assert.equal(refused.status, 429);
      assert.equal(reasonOf(refused), 'queue-full');
      assert.equal(refused.headers['retry-after'], '1');
      assert.equal(refused.headers['slimfaas-load'], '2/2');
      assert.deepEqual(Object.keys(JSON.parse(refused.body) as object), ['error', 'message']);
      assert.equal(held.length, 2);
      releaseAll();
      assert.deepEqual(
        (await Promise.all(inside)).map((answer) => answer.status),
        [200, 200, 200, 200, 200],
      );
      assert.equal(await sidecar.metric('slimfaas_sidecar_refusals_total', 'queue-full'), 1);
    });

    it('behaviour 2: L = 1, five clients without a pause: never two at once inside the function', async () => {
      await using app = await new App((_req, res) => setTimeout(() => res.end('ok'), 5)).listen();
      await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
      const until = performance.now() + 1_500;
      const client = async (): Promise<number> => {
        let served = 0;
        for (; performance.now() < until; served++) assert.equal((await sidecar.call()).status, 200);
        return served;
      };
      const served = await Promise.all(Array.from({ length: 5 }, client));
      assert.equal(app.mostRunning, 1);
      assert.ok(Math.min(...served) > 5, `no client starves: ${served.join(' ')}`);
    });

    it('behaviour 3: A queued, then B; a place frees; A goes first, no newcomer before them', async () => {
      const { handler, held } = holding();
      await using app = await new App(handler).listen();
      await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
      const calls = [sidecar.call('/first')];
      await metricIs(sidecar, RUNNING, 1);
      for (const [i, path] of ['/A', '/B', '/newcomer'].entries()) {
        calls.push(sidecar.call(path));
        await metricIs(sidecar, WAITING, i + 1);
      }
      const fromProxy = await sidecar.proxyCall('/proxy');
      assert.equal(fromProxy.headers['slimfaas-refused'], 'full');
      for (let n = 1; n <= 4; n++) {
        await waitFor(() => app.count === n, { what: `${n} arrived` });
        held.shift()?.end();
      }
      await Promise.all(calls);
      assert.deepEqual(
        app.arrivals.map((arrival) => arrival.url),
        ['/first', '/A', '/B', '/newcomer'],
      );
    });

    it('behaviour 4: a queued caller leaves: the function is never called, counters return to 0', async () => {
      const { handler, releaseAll } = holding();
      await using app = await new App(handler).listen();
      await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
      const first = sidecar.call('/first');
      await metricIs(sidecar, RUNNING, 1);
      const leaving = new AbortController();
      const left = sidecar.call('/leaver', { signal: leaving.signal });
      await metricIs(sidecar, WAITING, 1);
      leaving.abort();
      await assert.rejects(left);
      await metricIs(sidecar, WAITING, 0);
      releaseAll();
      await first;
      await metricIs(sidecar, RUNNING, 0);
      assert.deepEqual(
        app.arrivals.map((arrival) => arrival.url),
        ['/first'],
      );
    });

    it('behaviour 5: a queued caller’s deadline passes: 503 with a reason; who runs is not touched by that clock', async () => {
      const { handler, releaseAll } = holding();
      await using app = await new App(handler).listen();
      await using sidecar = await sidecarFor(app.port, {
        flags: { 'parallel-per-pod': 1, 'queue-timeout-seconds': 0.2 },
      });
      const first = sidecar.call();
      await metricIs(sidecar, RUNNING, 1);
      const late = await sidecar.call();
      assert.deepEqual(
        [late.status, reasonOf(late), late.headers['retry-after']],
        [503, 'queue-timeout', '1'],
      );
      assert.equal(await sidecar.metric(RUNNING), 1);
      releaseAll();
      assert.equal((await first).status, 200);
    });

    it('behaviour 5: the running clock counts from when running starts, not from when waiting did', async () => {
      const policy = { httpTimeoutSeconds: 1, timeoutRetriesSeconds: [], httpStatusRetries: [] };
      const flags = { 'parallel-per-pod': 1, 'sync-policy': JSON.stringify(policy) };
      await using app = await new App((req, res) => {
        // An answer that has begun has no clock: the first one lasts as long as it likes.
        if (req.url === '/first') res.write('begun', () => setTimeout(() => res.end(), 1_500));
        else res.end('ok');
      }).listen();
      await using sidecar = await sidecarFor(app.port, { flags });
      const first = sidecar.call('/first');
      await metricIs(sidecar, RUNNING, 1);
      // It waits 1.5 s, which is more than HttpTimeout, and runs for a moment.
      const answers = await Promise.all([sidecar.call(), first]);
      assert.deepEqual(
        answers.map((answer) => answer.status),
        [200, 200],
      );
    });
  });

  describe(`sidecar: a place is given back exactly once (${how})`, () => {
    const faults: [name: string, fault: (app: App) => void, httpTimeoutSeconds?: number][] = [
      ['throws', (app) => (app.handler = (_req, res) => void res.writeHead(500).end('thrown'))],
      ['resets before its answer', (app) => (app.handler = (req) => req.socket.resetAndDestroy())],
      [
        'resets in the middle of its answer',
        (app) =>
          (app.handler = (req, res) => {
            res.writeHead(200, { 'content-length': '100' });
            res.write('half', () => setTimeout(() => req.socket.resetAndDestroy(), 10));
          }),
      ],
      ['never answers', (app) => (app.handler = () => undefined), 1],
    ];
    for (const [name, fault, httpTimeoutSeconds = 20] of faults) {
      it(`behaviour 7: the function ${name}`, async () => {
        const policy = { httpTimeoutSeconds, timeoutRetriesSeconds: [], httpStatusRetries: [502, 503] };
        await using app = await new App().listen();
        await using sidecar = await sidecarFor(app.port, {
          flags: { 'parallel-per-pod': 2, 'sync-policy': JSON.stringify(policy) },
        });
        fault(app);
        await Promise.allSettled(Array.from({ length: 4 }, () => sidecar.call()));
        await metricIs(sidecar, RUNNING, 0);
        app.handler = (_req, res) => setTimeout(() => res.end('ok'), 20);
        app.mostRunning = app.running = 0;
        const answers = await Promise.all(Array.from({ length: 6 }, () => sidecar.call()));
        assert.ok(answers.every((answer) => answer.status === 200));
        assert.equal(app.mostRunning, 2, 'both places are there, and no third');
      });
    }

    it('behaviour 7: an answer that breaks off is broken off for the caller too, never ended cleanly', async () => {
      await using app = await new App((req, res) => {
        res.writeHead(200);
        res.write('begun', () => setTimeout(() => req.socket.resetAndDestroy(), 10));
      }).listen();
      await using sidecar = await sidecarFor(app.port);
      await assert.rejects(sidecar.call(), /aborted|ECONNRESET/);
    });

    it('a caller who leaves while running cancels the call in the function', async () => {
      await using app = await new App(() => undefined).listen();
      await using sidecar = await sidecarFor(app.port);
      const leaving = new AbortController();
      const left = sidecar.call('/', { signal: leaving.signal });
      await waitFor(() => app.running === 1, { what: 'the call runs' });
      leaving.abort();
      await assert.rejects(left);
      await waitFor(() => app.running === 0, { what: 'the function’s side is closed' });
      await metricIs(sidecar, RUNNING, 0);
      assert.equal(await sidecar.metric('slimfaas_sidecar_requests_total', 'cancelled'), 1);
    });
  });

  describe(`sidecar: probes (${how})`, () => {
    it('behaviour 8: probes while full are answered and not counted', async () => {
      const { handler, releaseAll } = holding();
      await using app = await new App((req, res, nth) => {
        if (req.url === '/healthz') return void res.end('alive');
        handler(req, res, nth);
      }).listen();
      await using sidecar = await sidecarFor(app.port, {
        flags: { 'parallel-per-pod': 1, 'queue-limit': 0 },
      });
      const running = sidecar.call();
      await metricIs(sidecar, RUNNING, 1);
      const probe = { headers: { 'user-agent': 'kube-probe/1.34' } };
      assert.equal((await sidecar.call('/healthz', probe)).body, 'alive');
      assert.equal((await sidecar.admin('/health')).status, 200);
      assert.equal((await sidecar.admin('/ready')).status, 200);
      assert.equal(await sidecar.metric(RUNNING), 1);
      releaseAll();
      await running;
      assert.equal(await sidecar.metric('slimfaas_sidecar_requests_total'), 1);
    });

    it('a caller behind a proxy cannot pass for a probe to get round the limit', async () => {
      const { handler, releaseAll } = holding();
      await using app = await new App(handler).listen();
      await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
      const running = sidecar.call();
      await metricIs(sidecar, RUNNING, 1);
      const answer = await sidecar.proxyCall('/', { headers: { 'user-agent': 'kube-probe/1.34' } });
      assert.equal(answer.headers['slimfaas-refused'], 'full');
      releaseAll();
      await running;
    });
  });

  describe(`sidecar: an app that is away (${how})`, () => {
    it('behaviour 15: the pod is reported ready and refuses connections: a direct call is tried again, 200, also POST', async () => {
      await using app = await new App((req, res) => void req.pipe(res)).listen();
      const { port } = app;
      await using sidecar = await sidecarFor(port);
      await app.close();
      const calls = [sidecar.call('/', { method: 'POST', body: 'once' }), sidecar.call()];
      await waitFor(async () => (await sidecar.metric('slimfaas_sidecar_retries_total')) > 1, {
        what: 'both calls are being tried again',
      });
      await app.listen(port);
      const answers = await Promise.all(calls);
      assert.deepEqual(
        answers.map((answer) => [answer.status, answer.body]),
        [
          [200, 'once'],
          [200, ''],
        ],
      );
      assert.equal(app.count, 2);
    });

    it('a proxy gets its call back at once, and the next until somebody listens again', async () => {
      await using app = await new App((req, res) => void req.pipe(res)).listen();
      const { port } = app;
      await using sidecar = await sidecarFor(port);
      await app.close();
      const post = { method: 'POST', body: 'once' };
      for (const options of [post, {}, post]) {
        const answer = await sidecar.proxyCall('/', options);
        assert.deepEqual([answer.status, answer.headers['slimfaas-refused']], [503, 'starting']);
      }
      assert.equal(await sidecar.metric('slimfaas_sidecar_retries_total'), 0);
      assert.equal(await sidecar.metric('slimfaas_sidecar_running'), 0);
      await app.listen(port);
      const answer = await waitFor(
        async () => {
          const each = await sidecar.proxyCall('/', post);
          return each.status === 200 ? each : undefined;
        },
        { what: 'the app takes calls again' },
      );
      assert.equal(answer.body, 'once');
      assert.equal(app.count, 1);
    });

    it('a proxy’s call that ran when the app crashed comes back as crashed, a long upload is tried on the spot', async () => {
      const { handler, held } = holding();
      await using app = await new App(handler).listen();
      const { port } = app;
      await using sidecar = await sidecarFor(port);
      const ran = sidecar.proxyCall();
      await waitFor(() => held.length === 1, { what: 'it runs' });
      await app.close();
      assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'starting');
      assert.equal((await ran).headers['slimfaas-refused'], 'crashed');
      app.handler = (req, res) => void req.pipe(res);
      await app.listen(port);
      await waitFor(async () => (await sidecar.proxyCall()).status === 200, { what: 'it is back' });
      await app.close();
      const long = sidecar.proxyCall('/', { method: 'POST', body: Buffer.alloc(1_048_577, 'x') });
      await waitFor(async () => (await sidecar.metric('slimfaas_sidecar_retries_total')) > 0, {
        what: 'it is tried again',
      });
      await app.listen(port);
      assert.equal((await long).body.length, 1_048_577);
    });
  });
}
