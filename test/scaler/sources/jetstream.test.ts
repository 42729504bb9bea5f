/** `nats-jetstream` against servers that mean no good, and over TLS: what is read is bounded, and nothing stays open. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect } from 'nats';
import { waitFor } from '../../helpers/wait.ts';
import { ownNats } from '../../webhook/issuer/own-nats.ts';
import { SourcesWorld } from '../support/sources-world.ts';

const INFO = 'INFO {"max_payload":1048576}\r\n';
const LAG = '{"num_pending":3,"num_ack_pending":1}';

type Say = (socket: Socket, inbox: string) => void;

/** Speaks as far as the question; `say` is the answer. */
async function natsLike(t: TestContext, say: Say, info = INFO) {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    socket.write(info);
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString();
      if (heard.endsWith('PING\r\n')) socket.write('PONG\r\n');
      const inbox = /^SUB (\S+) 1\r\nPUB \S+ \1 0\r\n\r\n$/m.exec(heard)?.[1];
      if (inbox === undefined) return;
      heard = '';
      say(socket, inbox);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const source = { Type: 'nats-jetstream', Url: `nats://127.0.0.1:${port}`, Stream: 'WORK', Consumer: 'w' };
  return { open, source };
}

for (const [what, say, fault] of [
  [
    'a message that is said to be of a gigabyte',
    (socket, inbox) => void socket.write(`MSG ${inbox} 1 1000000000\r\n`),
    /^an answer above 65536 bytes$/,
  ],
  ['a line that does not end', (socket) => flood(socket, 'x'.repeat(1_024)), /^an answer above 65536 bytes$/],
  ['pings without end', (socket) => flood(socket, 'PING\r\n'.repeat(99)), /^an answer above 65536 bytes$/],
  [
    'a length that is none',
    (socket, inbox) => void socket.write(`MSG ${inbox} 1 -5\r\n`),
    /^the server speaks no NATS$/,
  ],
  [
    'an error, in the server’s own words as far as there is room',
    (socket) => void socket.write(`-ERR '${'x'.repeat(1_000)}'\r\n`),
    /^the server says 'x{199}$/,
  ],
  [
    'nobody who answers',
    (socket, inbox) => void socket.write(`HMSG ${inbox} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`),
    /^nothing answers there: JetStream is not on$/,
  ],
  ['an end', (socket) => void socket.end(), /^the server has closed the connection$/],
] as [string, Say, RegExp][])
  test(`nats-jetstream: ${what} is a fault, and the connection ends`, async (t) => {
    const { open, source } = await natsLike(t, say);
    const [reading] = await new SourcesWorld(t).first(
      { ...source, IntervalMilliseconds: 300_000 },
      { Threshold: 1 },
    );
    assert.match(reading?.fault ?? '', fault);
    await waitFor(() => open.size === 0, { what: 'no connection is left' });
  });

function flood(socket: Socket, piece: string): void {
  while (!socket.destroyed && socket.write(piece));
  if (!socket.destroyed) socket.once('drain', () => flood(socket, piece));
}

test('nats-jetstream: an answer in pieces of one byte, after a ping, is read; the connection ends with it', async (t) => {
  const { open, source } = await natsLike(t, (socket, inbox) => {
    socket.setNoDelay(true);
    const text = `PING\r\nMSG ${inbox} 1 ${LAG.length}\r\n${LAG}\r\n`;
    const next = (at: number): void => {
      if (at < text.length) socket.write(text.slice(at, at + 1), () => setImmediate(next, at + 1));
    };
    next(0);
  });
  const readings = await new SourcesWorld(t).first(
    { ...source, IntervalMilliseconds: 300_000 },
    { Threshold: 1 },
  );
  assert.deepEqual(readings, [{ value: 4 }]);
  await waitFor(() => open.size === 0, { what: 'no connection is left' });
});

for (const [what, info] of [
  ['that says nothing', ''],
  ['that never answers', INFO],
] as const)
  test(`nats-jetstream: the connection to a server ${what} ends with the poll`, async (t) => {
    let asked = 0;
    const { open, source } = await natsLike(t, () => void asked++, info);
    const world = new SourcesWorld(t);
    world.ask(source, [{ Threshold: 1 }]);
    await waitFor(() => open.size === 1 && (info === '' || asked === 1), { what: 'it is asked' });
    world.stop();
    await waitFor(() => open.size === 0, { what: 'no connection is left', timeoutMs: 3_000 });
  });

test('nats-jetstream: a token over TLS, to whom the certificate names alone', async (t) => {
  const own = await ownNats((end) => t.after(end));
  const nats = await own.start('authorization { token: s3cret }');
  const ca = readFileSync(own.caFile, 'utf8');
  const url = `tls://localhost:${nats.port}`;
  const connection = await connect({ servers: url, token: 's3cret', tls: { ca } });
  t.after(() => connection.close());
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'WORK', subjects: ['work'] });
  await manager.consumers.add('WORK', { durable_name: 'w', ack_policy: 'explicit' as never });
  await connection.jetstream().publish('work');
  const source = { Type: 'nats-jetstream', Url: url, Stream: 'WORK', Consumer: 'w' };
  const allow = [`localhost:${nats.port}`, `other.test:${nats.port}`, '127.0.0.0/8'];
  const first = async (credentials: object, more: object = {}) => {
    const world = new SourcesWorld(t, { allow, credentials });
    const [reading] = await world.first({ ...source, ...more }, { Threshold: 1 });
    world.stop();
    return reading?.value ?? reading?.fault ?? '';
  };
  assert.equal(await first({ token: 's3cret', ca }), 1);
  assert.match(String(await first({ token: 'wrong', ca })), /the server says 'Authorization Violation'/);
  assert.match(String(await first({ token: 's3cret' })), /certificate/);
  const other = `tls://other.test:${nats.port}`;
  assert.match(String(await first({ token: 's3cret', ca }, { Url: other })), /does not match certificate/);
  const plain = `nats://localhost:${nats.port}`;
  assert.match(
    String(await first({ token: 's3cret' }, { Url: plain })),
    /requires TLS: its Url begins with tls/,
  );
});
