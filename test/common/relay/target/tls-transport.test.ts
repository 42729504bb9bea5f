/** The relay over TLS: a sink that asks for a pause is given one, whatever has been decrypted already. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import {
  createRelay,
  NO_BODY,
  type ExchangeControl,
  type ResponseSink,
} from '../../../../common/relay/index.ts';
import { createTlsTransport } from '../../../../common/relay/target/tls-transport.ts';
import { HandBody } from '../exchange/hand-body.ts';
import { RecordingSink } from '../exchange/rig.ts';
import { createAuthority, issueCertificate } from '../../../../webhook/certificates/x509.ts';

const TIMEOUTS = { connectMs: 0, headMs: 0, idleMs: 0 };

/** Holds after each read until the next turn, and keeps the memory meanwhile, as the contract allows. */
class HoldingSink implements ResponseSink {
  readonly #pieces: Buffer[] = [];
  #held: Buffer[] = [];
  #control: ExchangeControl | undefined;
  isHeld = false;
  given = 0;

  attach(control: ExchangeControl): void {
    this.#control = control;
  }
  informational(): void {}
  head(): void {}
  data(chunk: Buffer): boolean {
    if (this.isHeld) this.given++;
    this.#held.push(chunk);
    return true;
  }
  flush(): boolean {
    this.isHeld = true;
    setImmediate(() => {
      this.isHeld = false;
      this.#take();
      this.#control?.resume();
    });
    return false;
  }
  end(): boolean {
    this.#take();
    return true;
  }
  abort(): void {}
  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
  #take(): void {
    for (const chunk of this.#held) this.#pieces.push(Buffer.from(chunk));
    this.#held = [];
  }
}

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const validity = { nowMs: Date.now(), validMs: 3_600_000 };
  const authority = await createAuthority(validity);
  const { certificate: cert, key } = await issueCertificate(authority, ['x.example'], validity);
  return { cert, key };
}

test('nothing is handed out while the sink holds, and nothing is written over', async (t) => {
  const large = randomBytes(4 * 1_048_576);
  const server = createServer(await selfSigned(), (_req, res) => res.end(large)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay = createRelay({ transport: createTlsTransport() });
  t.after(() => {
    relay.close();
    server.close();
  });
  const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const sink = new HoldingSink();
  const head = { method: 'GET', path: '/', headers: [] };
  const outcome = await relay.exchange({ target, head, body: NO_BODY, sink, timeouts: TIMEOUTS }).done;
  assert.equal(outcome.kind, 'answered');
  assert.equal(sink.given, 0);
  assert.ok(sink.bytes.equals(large));
});

test('an app that ends connections of a former session is spoken to in a new one', async (t) => {
  let resumed = 0;
  const server = createServer(await selfSigned(), (_req, res) =>
    res.setHeader('Connection', 'close').end('here'),
  );
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!socket.isSessionReused()) return;
    resumed += 1;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay = createRelay({ transport: createTlsTransport() });
  t.after(() => {
    relay.close();
    server.close();
  });
  const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const call = async (): Promise<string> => {
    const head = { method: 'POST', path: '/', headers: [] };
    return (
      await relay.exchange({ target, head, body: NO_BODY, sink: new HoldingSink(), timeouts: TIMEOUTS }).done
    ).kind;
  };
  assert.equal(await call(), 'answered');
  assert.equal(await call(), 'failed', 'the app ends it');
  assert.equal(resumed, 1, 'a session was offered');
  assert.equal(await call(), 'answered', 'and not offered again');
});

/**
 * An app that answers the head of an upload and closes, behind a wire of ours: what it sent is with the kernel of the
 * caller, and so is the reset, before {@link onReset} is called.
 */
async function refusingApp(t: TestContext, answer: string, onReset: () => void) {
  const app = createTlsServer(await selfSigned(), (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(answer));
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  const wires: Socket[] = [];
  const front = createTcpServer((caller) => {
    const inner = connect((app.address() as AddressInfo).port, '127.0.0.1');
    wires.push(caller, inner);
    for (const wire of [caller, inner]) wire.on('error', () => undefined);
    caller.on('data', (chunk) => void (inner.writable && inner.write(chunk)));
    inner.on('data', (chunk) => void caller.write(chunk));
    inner.once('end', () => {
      caller.resetAndDestroy();
      onReset();
    });
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const relay = createRelay({ transport: createTlsTransport() });
  t.after(() => {
    relay.close();
    for (const wire of wires) wire.destroy();
    front.close();
    app.close();
  });
  return { relay, target: { host: '127.0.0.1', port: (front.address() as AddressInfo).port } };
}

const UPLOAD = { method: 'POST', path: '/', headers: ['Host', 'f', 'Content-Length', '10000000'] };

for (const [what, size] of [
  ['small', 9],
  ['of several records', 60_000],
] as const) {
  test(`an early refusal is forwarded although the next write fails: ${what}`, async (t) => {
    const body = new HandBody(10_000_000);
    const refusal = `HTTP/1.1 413 Too Large\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`;
    const { relay, target } = await refusingApp(t, refusal, () => {
      body.consumer?.data(Buffer.alloc(65_536));
      body.consumer?.data(Buffer.alloc(65_536));
    });
    const sink = new RecordingSink();
    const running = relay.exchange({ target, head: UPLOAD, body, sink, timeouts: TIMEOUTS });
    assert.deepEqual(await running.done, { kind: 'answered', status: 413 });
    assert.equal(sink.body, 'x'.repeat(size));
    assert.equal(relay.stats.active, 0);
  });

  test(`the same, to a caller who reads slowly: ${what}`, async (t) => {
    const body = new HandBody(10_000_000);
    const refusal = `HTTP/1.1 413 Too Large\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`;
    const { relay, target } = await refusingApp(t, refusal, () => body.consumer?.data(Buffer.alloc(65_536)));
    const sink = new HoldingSink();
    const running = relay.exchange({ target, head: UPLOAD, body, sink, timeouts: TIMEOUTS });
    sink.attach(running);
    assert.deepEqual(await running.done, { kind: 'answered', status: 413 });
    assert.equal(sink.bytes.toString(), 'x'.repeat(size));
  });
}

test('a refusal that is not whole is broken off, and none at all is a failed upload', async (t) => {
  for (const answer of ['HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo', '']) {
    const body = new HandBody(10_000_000);
    const { relay, target } = await refusingApp(t, answer, () => body.consumer?.data(Buffer.alloc(65_536)));
    const running = relay.exchange({
      target,
      head: UPLOAD,
      body,
      sink: new RecordingSink(),
      timeouts: TIMEOUTS,
    });
    const outcome = await running.done;
    assert.equal(outcome.kind, 'failed', answer);
    assert.equal(relay.stats.active, 0);
  }
});
