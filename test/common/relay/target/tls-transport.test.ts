/** The relay over TLS: a sink that asks for a pause is given one, whatever has been decrypted already. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import {
  createRelay,
  NO_BODY,
  type ExchangeControl,
  type ResponseSink,
} from '../../../../common/relay/index.ts';
import { createTlsTransport } from '../../../../common/relay/target/tls-transport.ts';
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
