/** An app that refuses an upload by its head and closes, as gunicorn and http.server do, behind both hops. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ownAddress } from '../helpers/addresses.ts';
import { callUrl } from './support/calls.ts';
import { startSidecarBeside } from './support/real-sidecar.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { createAuthority, issueCertificate } from '../../webhook/certificates/x509.ts';

const REFUSAL = 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large';
const UPLOAD = Buffer.alloc(2_000_000);

for (const caller of ['HTTP/1.1', 'HTTP/2'] as const) {
  test(`a refusal reaches a caller over ${caller} each time, whatever he still sends`, async () => {
    const app = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(REFUSAL, () => socket.destroy())); // unread bytes: a reset
    });
    await withApp(app, [], async (url) => {
      for (let i = 0; i < 10; i++) {
        if (caller === 'HTTP/2') assert.equal(await http2Status(url), 413);
        else assert.equal((await callUrl(`${url}/function/fib/up`, { body: UPLOAD })).status, 413);
      }
    });
  });
}

test('the same from an app that speaks HTTPS', async () => {
  const validity = { nowMs: Date.now(), validMs: 3_600_000 };
  const authority = await createAuthority(validity);
  const { certificate: cert, key } = await issueCertificate(authority, ['x.example'], validity);
  const app = createTlsServer({ cert, key }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(REFUSAL, () => socket.destroy()));
  });
  await withApp(app, ['--app-tls=true'], async (url) => {
    for (let i = 0; i < 10; i++)
      assert.equal((await callUrl(`${url}/function/fib/up`, { body: UPLOAD })).status, 413);
  });
});

test('the same from an app that speaks HTTP/2', async () => {
  const app = createHttp2Server();
  app.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 413 });
    stream.end('too large', () => stream.close());
  });
  await withApp(app, ['--app-protocol=h2c'], async (url) => {
    for (let i = 0; i < 10; i++)
      assert.equal((await callUrl(`${url}/function/fib/up`, { body: UPLOAD })).status, 413);
  });
});

async function withApp(app: Server, flags: readonly string[], run: (url: string) => Promise<void>) {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const ip = ownAddress();
  app.listen(0, ip);
  await once(app, 'listening');
  const sidecar = await startSidecarBeside(t, {
    name: 'p',
    ip,
    port: (app.address() as AddressInfo).port,
    flags,
  });
  try {
    t.setPod('fib', 'p', ip);
    await t.readyPods('fib', 1);
    await run(t.url);
  } finally {
    await sidecar.stop();
    app.close();
  }
}

async function http2Status(url: string): Promise<number> {
  const client = connectHttp2(url);
  try {
    const stream = client.request({ ':method': 'POST', ':path': '/function/fib/up' });
    stream.on('error', () => undefined);
    stream.end(UPLOAD);
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    return Number(headers[':status']);
  } finally {
    client.destroy();
  }
}
