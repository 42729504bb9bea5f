/** What passes between proxy, sidecar and app: refusals, headers, bodies, an app that is away or slow, slow clients. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { sleep } from '../../../common/runtime/lifecycle.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { reasonOf } from '../support/client.ts';
import { metricIs, sidecarFor } from '../support/sidecar.ts';

const RUNNING = 'slimfaas_sidecar_running';
const WAITING = 'slimfaas_sidecar_waiting';

describe('sidecar: HttpTimeout', () => {
  it('a call that takes longer than HttpTimeout gets 504 function-timeout, and is not tried again', async () => {
    const policy = { httpTimeoutSeconds: 0.2, timeoutRetriesSeconds: [0.01], httpStatusRetries: [504] };
    await using app = await new App(() => undefined).listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'sync-policy': JSON.stringify(policy) } });
    const answer = await sidecar.call();
    assert.deepEqual([answer.status, reasonOf(answer), app.count], [504, 'function-timeout', 1]);
    assert.match(
      answer.body.toString(),
      /the function did not begin its answer within [\d.]+ s; make it faster/,
    );
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
      res
        .writeHead(200, {
          'slimfaas-refused': 'full',
          'slimfaas-trouble': 'x',
          'slimfaas-load': '0/99',
          'X-Own': 'yes',
        })
        .end();
    }).listen();
    await using sidecar = await sidecarFor(app.port);
    const answer = await sidecar.proxyCall('/', { headers: { 'X-Keep': 'me' } });
    assert.ok(seen.includes('X-Keep') && !seen.some((text) => text.toLowerCase() === 'slimfaas-queue'));
    assert.equal(answer.headers['slimfaas-refused'], undefined);
    assert.equal(answer.headers['slimfaas-trouble'], undefined);
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
