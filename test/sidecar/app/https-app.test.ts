/** A sidecar before an app that speaks HTTPS: calls, bodies, upgrades, retries and jobs as with any other app. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../support/app.ts';
import { reasonOf } from '../support/client.ts';
import { policy, startJobWorld } from '../support/job-world.ts';
import { sidecarFor } from '../support/sidecar.ts';
import { TlsApp } from '../support/tls-app.ts';

const TLS = { 'app-tls': 'true' };

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** A call whose answer the test reads by itself. */
async function open(port: number, path: string, body?: Buffer): Promise<IncomingMessage> {
  const req = request({ host: '127.0.0.1', port, path, method: body ? 'POST' : 'GET', agent: false });
  req.end(body);
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  return res;
}

describe('sidecar: an app that speaks HTTPS', () => {
  it('is called over TLS, its certificate unverified, on a connection that is kept', async () => {
    let connections = 0;
    await using app = await new TlsApp((req, res) => {
      assert.ok((req.socket as TLSSocket).encrypted);
      res.end(`${req.method} ${req.url}`);
    }).listen();
    app.server.on('secureConnection', () => connections++);
    await using sidecar = await sidecarFor(app.port, { flags: TLS });
    for (let i = 0; i < 5; i++) {
      const { status, body, headers } = await sidecar.proxyCall('/a?b');
      assert.deepEqual([status, body, headers['slimfaas-load']], [200, 'GET /a?b', '1/10']);
    }
    assert.equal(connections, 1);
  });

  it('large bodies are whole both ways, also to a caller who reads slowly', async () => {
    const large = randomBytes(8 * 1_048_576);
    await using app = await new TlsApp((req, res) => {
      void buffer(req).then((body) => {
        res.setHeader('seen', digestOf(body));
        if (req.url === '/chunked')
          for (let at = 0; at < large.length; at += 5_000) res.write(large.subarray(at, at + 5_000));
        res.end(req.url === '/chunked' ? undefined : large);
      });
    }).listen();
    await using sidecar = await sidecarFor(app.port, { flags: TLS });
    for (const path of ['/whole', '/chunked']) {
      const res = await open(sidecar.port, path, large);
      assert.equal(res.headers['seen'], digestOf(large), path);
      const pieces: Buffer[] = [];
      for await (const piece of res) {
        pieces.push(piece as Buffer);
        for (let i = 0; i < 3; i++) await turn(); // the relay is held again and again
      }
      assert.equal(digestOf(Buffer.concat(pieces)), digestOf(large), path);
    }
  });

  it('a caller who leaves cuts the app’s answer', async () => {
    const closed = Promise.withResolvers<void>();
    await using app = await new TlsApp((_req, res) => {
      res.write('first');
      res.once('close', () => closed.resolve());
    }).listen();
    await using sidecar = await sidecarFor(app.port, { flags: TLS });
    const res = await open(sidecar.port, '/');
    await once(res, 'data');
    res.destroy();
    await closed.promise;
  });

  it('statuses and broken connections are retried by policy, and a restart is waited for', async () => {
    await using app = await new TlsApp((req, res, nth) => {
      if (nth === 1) return void res.writeHead(503).end();
      if (nth === 2) return void req.socket.destroy();
      res.end(String(nth));
    }).listen();
    await using sidecar = await sidecarFor(app.port, {
      flags: { ...TLS, 'sync-policy': policy([0.05, 0.05]) },
    });
    assert.equal((await sidecar.call('/')).body, '3');
    const { port } = app;
    await app.close();
    app.handler = (_req, res) => res.end('again');
    const answer = sidecar.call('/', { method: 'POST', body: 'x' });
    await app.listen(port);
    assert.equal((await answer).body, 'again');
  });

  it('an app that speaks plain HTTP is not called without TLS', async () => {
    await using app = await new App().listen();
    await using sidecar = await sidecarFor(app.port, { flags: { ...TLS, 'sync-policy': policy([]) } });
    // A proxy must not look for a better pod: there is none.
    for (const answer of [await sidecar.call('/'), await sidecar.proxyCall('/')]) {
      assert.deepEqual([answer.status, reasonOf(answer)], [502, 'upstream-failed']);
      assert.match(answer.body, /slimfaas\.dev\/app-protocol/);
    }
    const headers = { 'slimfaas-queue': 'none' };
    const refused = new WebSocket(`ws://127.0.0.1:${sidecar.port}/`, { headers });
    const [, res] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
    assert.equal(res.statusCode, 502);
    res.destroy();
    assert.equal(app.count, 0);
  });

  it('a WebSocket goes through', async () => {
    const sockets = new WebSocketServer({ noServer: true });
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
    await using app = await new TlsApp().listen();
    app.server.on('upgrade', (req, socket, head) =>
      sockets.handleUpgrade(req, socket as Socket, head, (ws) => sockets.emit('connection', ws, req)),
    );
    await using sidecar = await sidecarFor(app.port, { flags: TLS });
    const socket = new WebSocket(`ws://127.0.0.1:${sidecar.port}/`);
    await once(socket, 'open');
    const large = 'x'.repeat(300_000);
    socket.send(large);
    const [data] = (await once(socket, 'message')) as [RawData];
    assert.equal(data.toString(), large);
    socket.close(1000);
    await once(socket, 'close');
  });

  it('its probe over HTTPS opens the pod, and jobs run in it', async () => {
    await using app = await new TlsApp((req, res) => {
      if (req.url === '/ready') return void res.end();
      void buffer(req).then((body) => res.end(`done ${body.toString()}`));
    }).listen();
    await using world = await startJobWorld();
    const probe = { httpGet: { path: '/ready', port: app.port, scheme: 'HTTPS' } };
    const probes = JSON.stringify([{ readiness: probe }]);
    await world.sidecar(app.port, { ...TLS, probes, 'async-policy': policy([]) });
    const state = await world.ended(await world.publish({ path: '/job' }, 'work'));
    assert.ok(state.state === 'done' && state.result);
    assert.equal(Buffer.from(state.result.body, 'base64').toString(), 'done work');
    await waitFor(() => Promise.resolve(app.arrivals.some(({ url }) => url === '/ready')), {
      what: 'probed',
    });
  });
});
