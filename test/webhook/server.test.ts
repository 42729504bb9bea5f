import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:https';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { silentLog } from '../../common/runtime/log.ts';
import { Registry } from '../../common/runtime/metrics.ts';
import { webhookFlags } from '../../webhook/flags.ts';
import { createWebhookMetrics } from '../../webhook/metrics.ts';
import { createReviewServer, type ReviewServer } from '../../webhook/server.ts';
import type { KeyPair } from '../../common/tls/key-pair.ts';
import { createAuthority, issueCertificate } from '../../webhook/certificates/x509.ts';
import { fixture, OPTIONS } from './reviews.ts';
import { open, post, SERVER_NAME } from './tls-client.ts';

const HOUR = 3_600_000;

async function makePair(): Promise<{ ca: string; pair: KeyPair }> {
  const validity = { nowMs: Date.now(), validMs: HOUR };
  const authority = await createAuthority(validity);
  return { ca: authority.certificate, pair: await issueCertificate(authority, [SERVER_NAME], validity) };
}

type Serving = Pick<ReviewServer, 'serve' | 'stop'> & { readonly port: number };

async function start(pair: KeyPair, registry = new Registry(), host = '127.0.0.1'): Promise<Serving> {
  const metrics = createWebhookMetrics(registry);
  const server = createReviewServer({ host, port: 0, inject: OPTIONS, log: silentLog, metrics });
  assert.equal(server.port, undefined, 'nothing is served without a certificate');
  await server.serve(pair);
  const { port, serve, stop } = server;
  assert.ok(port);
  return { port, serve, stop };
}

describe('the TLS server', () => {
  const registry = new Registry();
  let server: Serving;
  let ca: string;
  before(async () => {
    const made = await makePair();
    ca = made.ca;
    server = await start(made.pair, registry);
  });
  after(() => server.stop(0));

  const send = (body: string, rest: { method?: string; path?: string } = {}) =>
    post({ port: server.port, ca, ...rest }, body);

  it('answers a review with a patch', async () => {
    const given = fixture('deployment');
    const { status, headers, body } = await send(JSON.stringify(given));
    assert.equal(status, 200);
    assert.match(String(headers['content-type']), /application\/json/);
    const { response } = JSON.parse(body) as { response: { uid: string; patch: string } };
    assert.equal(response.uid, given.request.uid);
    assert.match(Buffer.from(response.patch, 'base64').toString(), /slimfaas-sidecar/);
  });

  const bad: [string, string, RegExp][] = [
    ['what is not JSON', 'hello', /not JSON/],
    ['an empty body', '', /not JSON/],
    ['a body that ends early', JSON.stringify(fixture('deployment')).slice(0, 500), /not JSON/],
    ['another kind', '{"kind":"Pod"}', /expected kind AdmissionReview/],
  ];
  for (const [name, body, message] of bad)
    it(`answers 400 to ${name}, and says why`, async () => {
      const answer = await send(body);
      assert.equal(answer.status, 400);
      const { error, message: text } = JSON.parse(answer.body) as { error: string; message: string };
      assert.equal(error, 'bad-review');
      assert.match(text, message);
    });

  it('answers 413 to a body that no review has', async () => {
    const { call, answer } = open({ port: server.port, ca });
    call.end(Buffer.alloc(5 * 1024 * 1024, 'x'));
    assert.equal((await answer).status, 413);
  });

  it('cuts a body at its bound as it arrives: what comes after is neither kept nor waited for', async () => {
    const { call, answer } = open({ port: server.port, ca });
    const chunk = Buffer.alloc(256 * 1024, 'x');
    for (let sent = 0; sent <= 4 * 1024 * 1024; sent += chunk.length) call.write(chunk);
    assert.equal((await answer).status, 413, 'and the body has not ended');
    call.destroy();
  });

  it('is reached by IPv6 and by IPv4 where no address is named', async () => {
    const made = await makePair();
    const both = await start(made.pair, new Registry(), webhookFlags.host.default);
    for (const host of ['::1', '127.0.0.1'])
      assert.equal((await post({ host, port: both.port, ca: made.ca }, '{}')).status, 400, host);
    await both.stop(0);
  });

  it('knows one route and one method', async () => {
    assert.equal((await send('{}', { path: '/validate' })).status, 404);
    assert.equal((await send('', { method: 'GET' })).status, 405);
  });

  it('counts reviews by outcome', async () => {
    await send(JSON.stringify(fixture('host-network')));
    const text = await registry.metrics();
    assert.match(text, /slimfaas_webhook_reviews_total\{outcome="injected"\} 1/);
    assert.match(text, /slimfaas_webhook_reviews_total\{outcome="host-network"\} 1/);
    assert.match(text, /slimfaas_webhook_reviews_total\{outcome="bad-review"\} 6/);
  });

  it('is not trusted by those who trust another CA', async () => {
    const stranger = await makePair();
    await assert.rejects(post({ port: server.port, ca: stranger.ca }, '{}'));
  });
});

describe('a new certificate', () => {
  it('is shown to new connections; those that are open go on', async () => {
    const [first, second] = await Promise.all([makePair(), makePair()]);
    const server = await start(first.pair);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      const body = JSON.stringify(fixture('deployment'));
      const both = first.ca + second.ca;
      await post({ port: server.port, ca: both, agent }, body);
      await server.serve(second.pair);
      const { call, answer } = open({ port: server.port, ca: both, agent });
      call.end(body);
      assert.equal((await answer).status, 200);
      assert.ok(call.reusedSocket, 'the open connection was used');
      assert.equal((await post({ port: server.port, ca: second.ca }, body)).status, 200);
      await assert.rejects(post({ port: server.port, ca: first.ca }, body));
    } finally {
      agent.destroy();
      await server.stop(0);
    }
  });
});

describe('stopping', () => {
  it('finishes the review that is being received', async () => {
    const { ca, pair } = await makePair();
    const server = await start(pair);
    const body = JSON.stringify(fixture('deployment'));
    const { call, answer } = open({ port: server.port, ca });
    call.write(body.slice(0, 1_000));
    const [socket] = (await once(call, 'socket')) as [TLSSocket];
    if (!socket.authorized) await once(socket, 'secureConnect');
    // A second review, complete: when it is answered, the server has surely read the first one's head.
    await post({ port: server.port, ca }, body);
    const stopped = server.stop(0);
    call.end(body.slice(1_000));
    assert.equal((await answer).status, 200);
    await stopped;
  });

  it('goes on answering for the delay, and asks for connections to be closed', async () => {
    const { ca, pair } = await makePair();
    const server = await start(pair);
    const agent = new Agent({ keepAlive: true });
    try {
      const { port } = server;
      const body = JSON.stringify(fixture('deployment'));
      assert.equal((await post({ port, ca, agent }, body)).headers['connection'], 'keep-alive');
      const stopped = server.stop(300);
      const during = await post({ port, ca, agent }, body);
      assert.equal(during.status, 200);
      assert.equal(during.headers['connection'], 'close');
      await stopped;
      await assert.rejects(post({ port, ca }, body), { code: 'ECONNREFUSED' });
    } finally {
      agent.destroy();
    }
  });
});
