/** The TLS port: ALPN, what functions are told, and certificates that change. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { once } from 'node:events';
import { test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { UsageError } from '../../../common/runtime/errors.ts';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';
import { h2Client } from './h2-client.ts';

interface Files extends AsyncDisposable {
  readonly cert: string;
  readonly key: string;
  readonly flags: readonly string[];
  /** Another certificate for the name, in the same files. */
  renew(name: string): Promise<void>;
}

async function certificateFiles(): Promise<Files> {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-tls-'));
  const cert = join(dir, 'tls.crt');
  const key = join(dir, 'tls.key');
  const renew = async (name: string): Promise<void> => {
    const validity = { nowMs: Date.now(), validMs: 3_600_000 };
    const pair = await issueCertificate(await createAuthority(validity), [name], validity);
    await writeFile(key, pair.key);
    await writeFile(cert, pair.certificate);
  };
  await renew('first.example');
  const flags = ['--tls-port=0', `--tls-cert=${cert}`, `--tls-key=${key}`, '--tls-check-seconds=0.1'];
  return { cert, key, flags, renew, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}

async function nameServed(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { subjectaltname } = socket.getPeerCertificate() as PeerCertificate;
  socket.destroy();
  return subjectaltname ?? '';
}

test('ALPN: h2 and HTTP/1.1, and the function is told https by either', async () => {
  await using files = await certificateFiles();
  await using t = await startTestProxy(files.flags);
  t.addFunction('fib');
  await t.addPod('fib', { run: (req, res) => res.end(req.headers['x-forwarded-proto']) });
  await t.readyPods('fib', 1);
  const url = `https://127.0.0.1:${t.proxy.tlsPort}`;
  using client = h2Client(url, { rejectUnauthorized: false });
  const over2 = await client.call('/function/fib/');
  assert.equal(client.session.alpnProtocol, 'h2');
  assert.deepEqual([over2.status, over2.text], [200, 'https']);
  const over1 = await new Promise<string>((resolve, reject) => {
    const call = request(`${url}/function/fib/`, { rejectUnauthorized: false, agent: false }, (res) => {
      let text = '';
      res.on('data', (chunk: Buffer) => (text += chunk.toString()));
      res.on('end', () => resolve(`${res.httpVersion} ${text}`));
    });
    call.on('error', reject);
    call.end();
  });
  assert.equal(over1, '1.1 https');
  const plain = await fetch(`${t.url}/function/fib/`);
  assert.equal(await plain.text(), 'http');
});

test('a WebSocket over TLS, through waiting and both ways', async () => {
  await using files = await certificateFiles();
  await using t = await startTestProxy(files.flags);
  t.addFunction('chat');
  const url = `wss://127.0.0.1:${t.proxy.tlsPort}/function/chat/`;
  const client = new WebSocket(url, { rejectUnauthorized: false });
  await waitFor(async () => (await statusOf(t, 'chat')).Waiting === 1, { what: 'the upgrade waits' });
  const pod = await t.addPod('chat');
  const server = new WebSocketServer({ noServer: true });
  let proto: unknown;
  pod.onUpgrade((req, socket, head) => {
    proto = req.headers['x-forwarded-proto'];
    server.handleUpgrade(req, socket, head, (ws) => ws.on('message', (data: Buffer) => ws.send(data)));
  });
  await once(client, 'open');
  const large = Buffer.alloc(300_000, 'x');
  client.send(large);
  const [message] = (await once(client, 'message')) as [Buffer];
  assert.ok(message.equals(large));
  assert.equal(proto, 'https');
  client.terminate();
  await waitFor(async () => (await statusOf(t, 'chat')).Running === 0, { what: 'its place is free' });
});

test('TLS 1.1 is refused', async () => {
  await using files = await certificateFiles();
  await using t = await startTestProxy(files.flags);
  const options = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const socket = connect({ port: t.proxy.tlsPort, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  const [error] = (await once(socket, 'error')) as [Error];
  assert.match(error.message, /protocol|version|alert/i);
});

test('a new certificate is served to new connections; a broken one is not, and open ones go on', async () => {
  await using files = await certificateFiles();
  await using t = await startTestProxy(files.flags);
  const { tlsPort } = t.proxy;
  assert.match(await nameServed(tlsPort), /first\.example/);
  using client = h2Client(`https://127.0.0.1:${tlsPort}`, { rejectUnauthorized: false });
  await client.call('/health');
  await files.renew('second.example');
  await waitFor(async () => (await nameServed(tlsPort)).includes('second'), {
    what: 'the new one is served',
  });
  await writeFile(files.cert, 'nonsense');
  assert.match(await nameServed(tlsPort), /second/);
  assert.equal((await client.call('/health')).status, 200, 'on its first connection');
});

test('what cannot be used keeps the proxy from starting, and says which flag', async () => {
  await using files = await certificateFiles();
  const starts = (flags: readonly string[]) => startTestProxyAndStop(flags);
  await assert.rejects(starts([`--tls-cert=${files.cert}`]), /--tls-cert needs --tls-key/);
  await assert.rejects(starts([`--tls-key=${files.key}`]), /--tls-key needs --tls-cert/);
  const missing = starts([`--tls-cert=${files.cert}.none`, `--tls-key=${files.key}`]);
  await assert.rejects(missing, (error) => error instanceof UsageError && /\.none/.test(error.message));
});

async function startTestProxyAndStop(flags: readonly string[]): Promise<void> {
  await using good = await startTestProxy();
  await good.another(flags);
}
