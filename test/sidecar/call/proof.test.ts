/** Who may come in at a sidecar that asks for a proof of a proxy, over real connections. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { createNkey } from '../../../common/identity/nkey.ts';
import { makeProof } from '../../../common/proof/proof.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { createCallerCheck } from '../../../sidecar/call/caller-check.ts';
import { Stats } from '../../../sidecar/stats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../support/app.ts';
import { reasonOf } from '../support/client.ts';
import { metricIs, sidecarFor, type SidecarSettings, type TestSidecar } from '../support/sidecar.ts';
import type { SidecarFlags } from '../support/sidecar-process.ts';

const key = createNkey('user');
const POD = 'ns/fn-1'; // as sidecarFor names it
const proof = (pod = POD, nowMs = Date.now()): string => makeProof(key, pod, nowMs);
const PROXYS = { 'slimfaas-queue': 'none', 'slimfaas-for': POD };
const REFUSALS = 'slimfaas_sidecar_refusals_total';
const UNPROVEN = 'slimfaas_sidecar_unproven_calls_total';

function guarded(app: App, flags: SidecarFlags = {}, settings: SidecarSettings = {}): Promise<TestSidecar> {
  const asked = { 'proxy-proof': 'required', 'proxy-keys': key.publicKey, ...flags };
  return sidecarFor(app.port, { ...settings, flags: asked });
}

/** Several requests on one connection. @returns status and refusal of each */
async function inTurn(port: number, heads: readonly Record<string, string>[]): Promise<string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number>();
  const seen: string[] = [];
  for (const headers of heads) {
    const req = request({ port, agent, headers });
    req.end();
    const [res] = (await once(req, 'response')) as [import('node:http').IncomingMessage];
    ports.add(res.socket.localPort ?? 0);
    res.resume();
    await once(res, 'end');
    seen.push(`${res.statusCode} ${String(res.headers['slimfaas-refused'] ?? '')}`.trim());
  }
  agent.destroy();
  return [...seen, `${ports.size} connections`];
}

function hasSeen(app: App, calls: number): Promise<unknown> {
  return waitFor(() => app.count >= calls, { what: `the app has seen ${calls} calls` });
}

describe('a sidecar that asks for a proof', () => {
  it('takes calls on a connection that has shown one, and the app sees nothing of it', async () => {
    await using app = await new App((req, res) => res.end(JSON.stringify(req.headers))).listen();
    await using sidecar = await guarded(app);
    const first = await sidecar.proxyCall('/', { headers: { ...PROXYS, 'slimfaas-proof': proof() } });
    assert.equal(first.status, 200);
    assert.doesNotMatch(first.body, /slimfaas/);
    const heads = [{ ...PROXYS, 'slimfaas-proof': proof() }, PROXYS, PROXYS];
    assert.deepEqual(await inTurn(sidecar.port, heads), ['200', '200', '200', '1 connections']);
  });

  it('refuses who has none: a proxy is told why, a direct caller whom to call', async () => {
    await using app = await new App().listen();
    await using sidecar = await guarded(app);
    const asProxy = await sidecar.proxyCall('/', { headers: PROXYS });
    assert.deepEqual([asProxy.status, asProxy.headers['slimfaas-refused']], [503, 'unproven']);
    assert.match(String(asProxy.headers['slimfaas-trouble']), /no proof/);
    assert.equal(asProxy.headers['slimfaas-load'], undefined, 'and nothing else of the pod');
    const direct = await sidecar.call('/');
    assert.deepEqual([direct.status, reasonOf(direct)], [403, 'forbidden']);
    assert.match(direct.body, /\/function\/<name>.*slimfaas\.dev\/direct-calls/);
    const probe = await sidecar.call('/', { headers: { 'user-agent': 'kube-probe/1.35' } });
    assert.equal(probe.status, 403, 'a user agent proves nothing');
    assert.equal(await sidecar.metric(REFUSALS, 'reason="unproven"'), 3);
    assert.equal(app.count, 0);
  });

  it('believes no proof of another pod, of another key, or of yesterday', async () => {
    await using app = await new App().listen();
    await using sidecar = await guarded(app);
    const strangers = [
      [proof('ns/fn-2'), /not for this pod/],
      [proof('other/fn-1'), /not for this pod/],
      [makeProof(createNkey('user'), POD, Date.now()), /this pod knows/],
      [proof(POD, Date.now() - 86_400_000), /clock/],
      ['x'.repeat(200), /form/],
    ] as const;
    for (const [bad, why] of strangers) {
      const { status, headers } = await sidecar.proxyCall('/', {
        headers: { ...PROXYS, 'slimfaas-proof': bad },
      });
      assert.equal(status, 503);
      assert.match(String(headers['slimfaas-trouble']), why);
    }
    assert.equal(app.count, 0);
  });

  it('ends the connection of a refusal, whatever came behind it', async () => {
    await using app = await new App().listen();
    await using sidecar = await guarded(app);
    const socket = connect(sidecar.port, '127.0.0.1');
    const one = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n';
    socket.write(one + one.replace('Host', `slimfaas-proof: ${proof()}\r\nHost`));
    let text = '';
    socket.on('data', (data) => (text += data.toString()));
    await once(socket, 'close');
    assert.equal(text.split('HTTP/1.1 ').length - 1, 1, text);
    assert.equal(app.count, 0);
  });

  it('takes WebSockets of proxies alone', async () => {
    await using app = await new App().listen();
    const sockets = new WebSocketServer({ noServer: true });
    app.server.on('upgrade', (req, socket, head) =>
      sockets.handleUpgrade(req, socket as import('node:net').Socket, head, (ws) => ws.send('hi')),
    );
    await using sidecar = await guarded(app);
    const url = `ws://127.0.0.1:${sidecar.port}/`;
    const good = new WebSocket(url, { headers: { ...PROXYS, 'slimfaas-proof': proof() } });
    const [data] = (await once(good, 'message')) as [Buffer];
    assert.equal(data.toString(), 'hi');
    good.terminate();
    for (const [headers, status] of [
      [{}, 403],
      [PROXYS, 503],
      [{ ...PROXYS, 'slimfaas-proof': proof('ns/fn-2') }, 503],
    ] as const) {
      const bad = new WebSocket(url, { headers });
      bad.on('error', () => undefined);
      const [, res] = (await once(bad, 'unexpected-response')) as [unknown, { statusCode: number }];
      assert.equal(res.statusCode, status);
    }
  });

  it('grants places to proxies alone, and health is for everybody', async () => {
    await using app = await new App().listen();
    await using sidecar = await guarded(app);
    const line = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        const upgrade = { Connection: 'Upgrade', Upgrade: 'slimfaas-places', 'slimfaas-for': POD };
        const req = request({
          port: sidecar.adminPort,
          path: '/places',
          headers: { ...upgrade, ...headers },
        });
        req.once('error', reject);
        req.once('response', (res) => resolve(res.statusCode ?? 0));
        req.once('upgrade', (res, socket) => {
          socket.destroy();
          resolve(res.statusCode ?? 0);
        });
        req.end();
      });
    assert.equal(await line({ 'slimfaas-proof': proof() }), 101);
    assert.equal(await line({}), 403);
    assert.equal(await line({ 'slimfaas-proof': proof('ns/fn-2') }), 403);
    for (const path of ['/health', '/ready', '/metrics'])
      assert.equal((await sidecar.admin(path)).status, 200, path);
  });

  it('as a process of its own, by the variables that the webhook sets', async () => {
    await using app = await new App().listen();
    await using sidecar = await guarded(app, {}, { isProcess: true });
    assert.equal((await sidecar.call('/')).status, 403);
    const called = await sidecar.call('/', { headers: { ...PROXYS, 'slimfaas-proof': proof() } });
    assert.equal(called.status, 200);
  });

  it('does not start half open: without keys, with a bad one, or without its own name', () => {
    const open = (publicKeys: readonly string[], pod: string | undefined) =>
      createCallerCheck({
        config: { 'proxy-proof': 'required', 'proxy-keys': publicKeys, 'direct-calls': false },
        pod,
        stats: new Stats(),
        log: silentLog,
      });
    assert.throws(() => open([], POD), /--proxy-proof needs --proxy-keys/);
    assert.throws(() => open([key.publicKey], undefined), /--pod-name/);
    assert.throws(() => open(['UNOKEY'], POD), /--proxy-keys: UNOKEY is not a public key/);
  });
});

describe('the other modes', () => {
  it('permissive: everybody comes in, and those without a proof are counted', async () => {
    await using app = await new App().listen();
    await using sidecar = await guarded(app, { 'proxy-proof': 'permissive' });
    const heads = [PROXYS, PROXYS, { ...PROXYS, 'slimfaas-proof': proof() }, PROXYS];
    assert.deepEqual(await inTurn(sidecar.port, heads), ['200', '200', '200', '200', '1 connections']);
    assert.equal(await sidecar.metric(UNPROVEN), 2, 'a connection that has shown one counts no more');
    assert.equal((await sidecar.call('/')).status, 200);
    assert.equal(await sidecar.metric(UNPROVEN), 3);
  });

  it('off: nobody is asked, and nobody counted', async () => {
    await using app = await new App().listen();
    await using sidecar = await sidecarFor(app.port);
    assert.equal((await sidecar.proxyCall('/', { headers: PROXYS })).status, 200);
    assert.equal((await sidecar.call('/')).status, 200);
    assert.equal(await sidecar.metric(UNPROVEN), 0);
  });

  it('direct calls, where the owner wants them: they stand in the pod’s line, whatever they say of themselves', async () => {
    const held: (() => void)[] = [];
    await using app = await new App((_req, res) => void held.push(() => res.end())).listen();
    await using sidecar = await guarded(app, { 'direct-calls': 'true', 'parallel-per-pod': 1 });
    const proxys = sidecar.proxyCall('/', { headers: { ...PROXYS, 'slimfaas-proof': proof() } });
    await hasSeen(app, 1);
    // Of a proxy it would be refused as `full`; a probe would get past the limit.
    const claims: Record<string, string>[] = [
      { ...PROXYS, 'slimfaas-place': '1' },
      { 'user-agent': 'kube-probe/1.35' },
      {},
    ];
    const calls = claims.map((headers) => sidecar.call('/', { headers }));
    await metricIs(sidecar, 'slimfaas_sidecar_waiting', 3);
    assert.equal(app.count, 1, 'one runs');
    for (let i = 1; i <= 4; i++) {
      await hasSeen(app, i);
      held[i - 1]?.();
    }
    assert.deepEqual(
      (await Promise.all([proxys, ...calls])).map(({ status }) => status),
      [200, 200, 200, 200],
    );
  });
});
