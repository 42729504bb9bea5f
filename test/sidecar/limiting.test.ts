/** BEHAVIOURS.md, "Limiting (sidecar)": a real app behind a real sidecar, over real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { sleep } from '../../common/lifecycle.ts';
import { waitFor } from '../helpers/wait.ts';
import { App, holding } from './support/app.ts';
import { reasonOf } from './support/client.ts';
import { metricIs, sidecarFor } from './support/sidecar.ts';

const RUNNING = 'slimfaas_sidecar_running';
const WAITING = 'slimfaas_sidecar_waiting';

describe('sidecar: limiting', () => {
  it('behaviour 1: limit L, queue Q, all full: one more is refused at once with 429 and Retry-After', async () => {
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 2, 'queue-limit': 3 } });
    const inside = Array.from({ length: 5 }, () => sidecar.call());
    await metricIs(sidecar, WAITING, 3);
    const begun = performance.now();
    const refused = await sidecar.call('/', { method: 'POST', body: 'never read' });
    assert.ok(performance.now() - begun < 1_000);
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
    const until = performance.now() + 2_000;
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
    assert.deepEqual([late.status, reasonOf(late), late.headers['retry-after']], [503, 'queue-timeout', '1']);
    assert.equal(await sidecar.metric(RUNNING), 1);
    releaseAll();
    assert.equal((await first).status, 200);
  });

  it('behaviour 5: the running clock counts from when running starts, not from when waiting did', async () => {
    const policy = { httpTimeoutSeconds: 0.4, timeoutRetriesSeconds: [], httpStatusRetries: [] };
    const flags = { 'parallel-per-pod': 1, 'sync-policy': JSON.stringify(policy) };
    await using app = await new App((_req, res) => setTimeout(() => res.end('ok'), 250)).listen();
    await using sidecar = await sidecarFor(app.port, { flags });
    // The third waits 500 ms and runs 250: together more than HttpTimeout, each less.
    const answers = await Promise.all([sidecar.call(), sidecar.call(), sidecar.call()]);
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [200, 200, 200],
    );
  });
});

describe('sidecar: a place is given back exactly once', () => {
  const faults: [name: string, fault: (app: App) => void][] = [
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
    ['never answers', (app) => (app.handler = () => undefined)],
  ];
  for (const [name, fault] of faults) {
    it(`behaviour 7: the function ${name}`, async () => {
      const policy = { httpTimeoutSeconds: 0.3, timeoutRetriesSeconds: [], httpStatusRetries: [502, 503] };
      await using app = await new App().listen();
      await using sidecar = await sidecarFor(app.port, {
        flags: { 'parallel-per-pod': 2, 'sync-policy': JSON.stringify(policy) },
      });
      fault(app);
      await Promise.allSettled(Array.from({ length: 6 }, () => sidecar.call()));
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

  it('a call that takes longer than HttpTimeout gets 504 function-timeout, and is not tried again', async () => {
    const policy = { httpTimeoutSeconds: 0.2, timeoutRetriesSeconds: [0.01], httpStatusRetries: [504] };
    await using app = await new App(() => undefined).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'sync-policy': JSON.stringify(policy) } });
    const answer = await sidecar.call();
    assert.deepEqual([answer.status, reasonOf(answer), app.count], [504, 'function-timeout', 1]);
  });

  it('an answer that has begun may take as long as it likes', async () => {
    const policy = { httpTimeoutSeconds: 0.2, timeoutRetriesSeconds: [], httpStatusRetries: [] };
    await using app = await new App((_req, res) => {
      res.write('a');
      setTimeout(() => res.end('b'), 600);
    }).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'sync-policy': JSON.stringify(policy) } });
    assert.equal((await sidecar.call()).body, 'ab');
  });
});

describe('sidecar: probes', () => {
  it('behaviour 8: probes while full are answered and not counted', async () => {
    const { handler, releaseAll } = holding();
    await using app = await new App((req, res, nth) => {
      if (req.url === '/healthz') return void res.end('alive');
      handler(req, res, nth);
    }).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1, 'queue-limit': 0 } });
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

describe('sidecar: what proxies and sidecars say to each other', () => {
  it('refuses a proxy’s call when full: 503, slimfaas-refused, empty, the function having seen nothing', async () => {
    const { handler, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
    const running = sidecar.proxyCall();
    await metricIs(sidecar, RUNNING, 1);
    const refused = await sidecar.proxyCall('/', { method: 'POST', body: 'x'.repeat(10_000) });
    assert.deepEqual(
      [refused.status, refused.headers['slimfaas-refused'], refused.headers['slimfaas-load'], refused.body],
      [503, 'full', '1/1', ''],
    );
    assert.equal(app.count, 1);
    releaseAll();
    await running;
  });

  it('answers a refusal while the body is still coming, and lets the connection be used again', async () => {
    const { handler, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
    const running = sidecar.call();
    await metricIs(sidecar, RUNNING, 1);
    const socket = connect(sidecar.port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nslimfaas-queue: none\r\nContent-Length: 10\r\n\r\n12345');
    const [first] = (await once(socket, 'data')) as [Buffer];
    assert.match(first.toString(), /^HTTP\/1.1 503 [\s\S]*slimfaas-refused: full/);
    socket.write('67890GET / HTTP/1.1\r\nHost: x\r\nslimfaas-queue: none\r\n\r\n');
    const [second] = (await once(socket, 'data')) as [Buffer];
    assert.match(second.toString(), /^HTTP\/1.1 503 /);
    socket.destroy();
    releaseAll();
    await running;
  });

  it('keeps its own headers to itself: none reaches the app, none from the app passes', async () => {
    let seen: string[] = [];
    await using app = await new App((req, res) => {
      seen = req.rawHeaders;
      res.writeHead(200, { 'slimfaas-refused': 'full', 'slimfaas-load': '0/99', 'X-Own': 'yes' }).end();
    }).listen();
    await using sidecar = await sidecarFor(app.port);
    const answer = await sidecar.proxyCall('/', { headers: { 'X-Keep': 'me' } });
    assert.ok(seen.includes('X-Keep') && !seen.some((text) => text.toLowerCase() === 'slimfaas-queue'));
    assert.equal(answer.headers['slimfaas-refused'], undefined);
    assert.deepEqual([answer.headers['slimfaas-load'], answer.headers['x-own']], ['1/10', 'yes']);
  });

  it('refuses what is not clean HTTP with 400 and closes', async () => {
    await using app = await new App().listen();
    await using sidecar = await sidecarFor(app.port);
    const socket = connect(sidecar.port, '127.0.0.1');
    socket.end(
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1.1 400 /);
    assert.equal(app.count, 0);
  });

  it('streams both ways: an echo of 8 MiB arrives equal', async () => {
    await using app = await new App((req, res) => void req.pipe(res)).listen();
    await using sidecar = await sidecarFor(app.port);
    const body = Buffer.alloc(8 * 1_048_576, 'abcdefghijk');
    const answer = await sidecar.call('/', { method: 'POST', body });
    assert.ok(Buffer.from(answer.body, 'latin1').equals(body));
  });
});

describe('sidecar: an app that is not there', () => {
  it('before the app is ready refuses proxies with starting and lets direct callers wait', async () => {
    await using app = await new App().listen();
    const { port } = app;
    await app.close();
    await using sidecar = await sidecarFor(port, { noWait: true });
    const refused = await sidecar.proxyCall();
    assert.deepEqual([refused.status, refused.headers['slimfaas-refused']], [503, 'starting']);
    const waiting = sidecar.call();
    await metricIs(sidecar, WAITING, 1);
    await app.listen(port);
    assert.equal((await waiting).status, 200);
    assert.equal((await sidecar.proxyCall()).status, 200);
  });

  it('behaviour 15: the pod is reported ready and refuses connections: tried again, 200, also for POST', async () => {
    await using app = await new App((req, res) => void req.pipe(res)).listen();
    const { port } = app;
    await using sidecar = await sidecarFor(port);
    await app.close();
    const calls = [sidecar.proxyCall('/', { method: 'POST', body: 'once' }), sidecar.call()];
    await waitFor(async () => (await sidecar.metric('slimfaas_sidecar_retries_total')) > 3, {
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

  it('gives up with 502 upstream-failed when the app stays away longer than the policy’s delays', async () => {
    await using app = await new App().listen();
    const policy = { httpTimeoutSeconds: 5, timeoutRetriesSeconds: [0.2], httpStatusRetries: [] };
    await using sidecar = await sidecarFor(app.port, { flags: { 'sync-policy': JSON.stringify(policy) } });
    await app.close();
    const answer = await sidecar.call();
    assert.deepEqual([answer.status, reasonOf(answer)], [502, 'upstream-failed']);
    assert.match(answer.body, /ECONNREFUSED/);
  });

  it('a place is free again while a call sleeps before its next try', async () => {
    await using app = await new App().listen();
    const policy = { httpTimeoutSeconds: 5, timeoutRetriesSeconds: [0.3], httpStatusRetries: [503] };
    const flags = { 'parallel-per-pod': 1, 'sync-policy': JSON.stringify(policy) };
    await using sidecar = await sidecarFor(app.port, { flags });
    app.handler = (req, res) => void res.writeHead(req.url === '/bad' && app.count === 1 ? 503 : 200).end();
    const retried = sidecar.call('/bad');
    await waitFor(() => app.count === 1, { what: 'the first try' });
    assert.equal((await sidecar.call('/other')).status, 200);
    assert.equal((await retried).status, 200);
    assert.deepEqual(
      app.arrivals.map((arrival) => arrival.url),
      ['/bad', '/other', '/bad'],
    );
  });
});

describe('sidecar: slow clients', () => {
  it('a slow reader slows the function down and nothing is lost or kept in memory', async () => {
    const chunk = Buffer.alloc(65_536, 7);
    let written = 0;
    await using app = await new App((_req, res) => {
      const more = (): void => {
        while (written < 64 * 1_048_576) {
          written += chunk.length;
          if (!res.write(chunk)) return void res.once('drain', more);
        }
        res.end();
      };
      more();
    }).listen();
    await using sidecar = await sidecarFor(app.port);
    const req = request({ host: '127.0.0.1', port: sidecar.port, agent: false }).end();
    const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage];
    res.pause();
    let before = -1;
    while (before !== written) {
      before = written;
      await sleep(200);
    }
    assert.ok(written < 32 * 1_048_576, `the function was held at ${written} bytes`);
    let size = 0;
    for await (const data of res) size += (data as Buffer).length;
    assert.equal(size, 64 * 1_048_576);
  });
});
