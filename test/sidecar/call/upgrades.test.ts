/** WebSockets and other upgrades through a real sidecar, with the `ws` library at both ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../support/app.ts';
import { metricIs, sidecarFor } from '../support/sidecar.ts';

const RUNNING = 'slimfaas_sidecar_running';

class WebSocketApp extends App {
  readonly sockets: WebSocketServer;

  constructor(onConnection: (socket: WebSocket) => void = echo) {
    super();
    this.sockets = new WebSocketServer({ noServer: true });
    this.sockets.on('connection', onConnection);
  }

  override async listen(port = 0): Promise<this> {
    this.server.removeAllListeners('upgrade');
    this.server.on('upgrade', (req, socket, head) =>
      this.sockets.handleUpgrade(req, socket as Socket, head, (ws) =>
        this.sockets.emit('connection', ws, req),
      ),
    );
    return super.listen(port);
  }
}

function echo(socket: WebSocket): void {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

async function open(port: number, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat//room?x=%2f`, { headers });
  await once(socket, 'open');
  return socket;
}

async function ask(socket: WebSocket, text: string): Promise<string> {
  socket.send(text);
  const [data] = (await once(socket, 'message')) as [RawData];
  return data.toString();
}

describe('sidecar: upgrades', () => {
  it('a WebSocket carries frames both ways, small, large and binary, and counts as running while open', async () => {
    await using app = await new WebSocketApp().listen();
    await using sidecar = await sidecarFor(app.port);
    const socket = await open(sidecar.port);
    assert.equal(await ask(socket, 'hello'), 'hello');
    const large = 'x'.repeat(300_000);
    assert.equal(await ask(socket, large), large);
    assert.equal(await sidecar.metric(RUNNING), 1);
    socket.close(1000);
    await once(socket, 'close');
    await metricIs(sidecar, RUNNING, 0);
    assert.equal(await sidecar.metric('slimfaas_sidecar_requests_total', '1xx'), 1);
  });

  it('path and headers reach the app as they were sent', async () => {
    await using app = await new WebSocketApp().listen();
    let seen: { url: string; rawHeaders: string[] } | undefined;
    app.server.prependListener(
      'upgrade',
      (req) => (seen = { url: req.url ?? '', rawHeaders: req.rawHeaders }),
    );
    await using sidecar = await sidecarFor(app.port);
    const socket = await open(sidecar.port, { 'X-CaSe': 'Kept', 'slimfaas-queue': 'none' });
    assert.equal(seen?.url, '/chat//room?x=%2f');
    assert.ok(seen.rawHeaders.includes('X-CaSe') && seen.rawHeaders.includes('Kept'));
    assert.ok(!seen.rawHeaders.includes('slimfaas-queue'));
    socket.terminate();
  });

  it('waits for a place like a call, and a proxy’s is refused when full', async () => {
    await using app = await new WebSocketApp().listen();
    await using sidecar = await sidecarFor(app.port, { flags: { 'parallel-per-pod': 1 } });
    const first = await open(sidecar.port);
    const second = open(sidecar.port);
    await metricIs(sidecar, 'slimfaas_sidecar_waiting', 1);
    const fromProxy = new WebSocket(`ws://127.0.0.1:${sidecar.port}/`, {
      headers: { 'slimfaas-queue': 'none' },
    });
    const [, response] = (await once(fromProxy, 'unexpected-response')) as [unknown, IncomingMessage];
    fromProxy.on('error', () => undefined).terminate();
    assert.deepEqual([response.statusCode, response.headers['slimfaas-refused']], [503, 'full']);
    first.close();
    const socket = await second;
    assert.equal(await ask(socket, 'mine'), 'mine');
    socket.terminate();
  });

  it('behaviour 16: an upgrade that comes before the app listens is made when it does', async () => {
    const app = await new WebSocketApp().listen();
    const { port } = app;
    await app.close();
    await using sidecar = await sidecarFor(port, { noWait: true });
    const opening = open(sidecar.port);
    await metricIs(sidecar, 'slimfaas_sidecar_waiting', 1);
    await app.listen(port);
    const socket = await opening;
    assert.equal(await ask(socket, 'late'), 'late');
    socket.terminate();
    await app.close();
  });

  it('an app that is gone for a moment is tried again', async () => {
    const app = await new WebSocketApp().listen();
    const { port } = app;
    await using sidecar = await sidecarFor(port);
    await app.close();
    const opening = open(sidecar.port);
    await waitFor(async () => (await sidecar.metric('slimfaas_sidecar_retries_total')) > 1, {
      what: 'tries while the app is away',
    });
    await app.listen(port);
    (await opening).terminate();
    await app.close();
  });

  it('an app that is gone gives a proxy its upgrade back at once', async () => {
    const app = await new WebSocketApp().listen();
    const { port } = app;
    await using sidecar = await sidecarFor(port);
    await app.close();
    const client = new WebSocket(`ws://127.0.0.1:${sidecar.port}/`, {
      headers: { 'slimfaas-queue': 'none' },
    });
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage];
    assert.deepEqual([response.statusCode, response.headers['slimfaas-refused']], [503, 'starting']);
    client.on('error', () => undefined);
    client.terminate();
    assert.equal(await sidecar.metric('slimfaas_sidecar_running'), 0);
  });

  it('behaviour 24: pod deleted while a WebSocket is open: a close frame 1001, not a reset, on both sides', async () => {
    let appClosed: number | undefined;
    await using app = await new WebSocketApp((socket) => {
      echo(socket);
      socket.on('close', (code) => (appClosed = code));
    }).listen();
    await using sidecar = await sidecarFor(app.port);
    const socket = await open(sidecar.port);
    assert.equal(await ask(socket, 'hi'), 'hi');
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    const drained = sidecar.admin('/drain');
    assert.equal((await closed)[0], 1001);
    await drained;
    assert.equal(appClosed, 1001);
    await metricIs(sidecar, RUNNING, 0);
  });

  it('behaviour 24: the close frame waits for the end of a frame that the app is in the middle of', async () => {
    await using app = await new WebSocketApp().listen();
    const raw = once(app.server, 'upgrade') as Promise<[IncomingMessage, Socket]>;
    await using sidecar = await sidecarFor(app.port);
    const socket = await open(sidecar.port);
    const [, appSocket] = await raw;
    const closed = once(socket, 'close') as Promise<[number]>;
    const message = once(socket, 'message') as Promise<[RawData]>;
    appSocket.write(Buffer.from([0x81, 10, ...Buffer.from('first')])); // half of a text frame of 10 bytes
    await waitFor(async () => (await sidecar.metric(RUNNING)) === 1, { what: 'the half is on its way' });
    const drained = sidecar.admin('/drain');
    await waitFor(async () => (await sidecar.admin('/ready')).status === 503, { what: 'draining' });
    appSocket.write('-half');
    appSocket.write(Buffer.from([0x81, 4, ...Buffer.from('late')])); // nothing may follow a close frame
    assert.equal((await message)[0].toString(), 'first-half');
    assert.equal((await closed)[0], 1001);
    await drained;
  });

  it(
    'a client that never answers the close frame is cut after a bounded time',
    { timeout: 20_000 },
    async () => {
      await using app = await new WebSocketApp().listen();
      await using sidecar = await sidecarFor(app.port, { flags: { 'drain-seconds': 20 } });
      const socket = await open(sidecar.port);
      socket.pause();
      const begun = performance.now();
      await sidecar.admin('/drain');
      assert.ok(performance.now() - begun < 8_000);
      socket.terminate();
    },
  );

  it('cancelled both ways: a client that vanishes ends it for the app, and the app for the client', async () => {
    const servers: WebSocket[] = [];
    await using app = await new WebSocketApp((socket) => void servers.push(socket)).listen();
    await using sidecar = await sidecarFor(app.port);
    const first = await open(sidecar.port);
    await waitFor(() => servers.length === 1, { what: 'connected' });
    first.terminate();
    await once(servers[0] as WebSocket, 'close');
    const second = await open(sidecar.port);
    await waitFor(() => servers.length === 2, { what: 'connected again' });
    servers[1]?.terminate();
    await once(second, 'close');
    await metricIs(sidecar, RUNNING, 0);
    await waitFor(() => app.connections === 0, { what: 'no connection to the app is left' });
  });

  it('a client who leaves before the app has answered frees the place', async () => {
    await using app = await new App().listen();
    app.server.on('upgrade', (_req, socket: Socket) => socket.resume().on('end', () => socket.destroy()));
    await using sidecar = await sidecarFor(app.port);
    const socket = connect({ port: sidecar.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await metricIs(sidecar, RUNNING, 1);
    socket.resume().end(); // his half only: ours must not stay open for it
    await once(socket, 'end');
    await metricIs(sidecar, RUNNING, 0);
    await waitFor(() => app.connections === 0, { what: 'the app’s side is closed' });
  });

  it('forwards an app’s refusal with its body', async () => {
    await using app = await new App(
      (_req, res) => void res.writeHead(401, { 'X-Why': 'token' }).end('who?'),
    ).listen();
    await using sidecar = await sidecarFor(app.port);
    const socket = connect(sidecar.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1.1 401 Unauthorized\r\n[\s\S]*X-Why: token\r\n[\s\S]*\r\n\r\nwho\?$/);
    await metricIs(sidecar, RUNNING, 0);
  });

  it('carries any other protocol, the first bytes of which may come with the head', async () => {
    await using app = await new App().listen();
    app.server.on('upgrade', (_req, socket: Socket, head: Buffer) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n');
      socket.unshift(head);
      socket.on('data', (data: Buffer) => socket.write(data.toString().toUpperCase()));
      socket.on('end', () => socket.end());
    });
    await using sidecar = await sidecarFor(app.port);
    const socket = connect(sidecar.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly');
    let text = '';
    socket.on('data', (data: Buffer) => (text += data.toString()));
    await waitFor(() => text.endsWith('EARLY'), { what: 'the early bytes come back' });
    socket.write(' late');
    await waitFor(() => text.endsWith('EARLY LATE'), { what: 'later bytes come back' });
    socket.end();
    await once(socket, 'close');
    await metricIs(sidecar, RUNNING, 0);
  });

  it('an offer of h2c is answered as a plain call', async () => {
    await using app = await new App((req, res) => void req.pipe(res)).listen();
    await using sidecar = await sidecarFor(app.port);
    const headers = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk' };
    const answer = await sidecar.call('/', { method: 'POST', body: 'plain', headers });
    assert.deepEqual([answer.status, answer.body], [200, 'plain']);
  });

  it('a POST that offers an upgrade keeps its body, and HTTP/2 among other offers is not tunnelled', async () => {
    await using app = await new App((req, res) => void req.pipe(res)).listen();
    let upgrades = 0;
    app.server.on('upgrade', (_req, socket: Socket) => void (upgrades++, socket.destroy()));
    await using sidecar = await sidecarFor(app.port);
    const posted = { method: 'POST', body: 'plain', headers: { Connection: 'Upgrade', Upgrade: 'x' } };
    const answer = await sidecar.call('/', posted);
    assert.deepEqual([answer.status, answer.body], [200, 'plain']);
    const offers = { headers: { Connection: 'Upgrade', Upgrade: 'websocket, h2c' } };
    assert.equal((await sidecar.call('/', offers)).status, 200);
    assert.equal(upgrades, 0);
  });
});
