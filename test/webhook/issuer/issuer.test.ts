/** The exchange over real TLS, and what a real NATS server makes of its outcome. */
import assert from 'node:assert/strict';
import { request } from 'node:https';
import { writeFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { connect } from 'nats';
import type { BusClient } from '../../../common/bus/permissions.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { natsConfig } from '../../../common/identity/nats-config.ts';
import { accountJwt, operatorJwt } from '../../../common/identity/nats-jwt.ts';
import { consumerConfig, JOBS_STREAM, streamConfigs } from '../../../common/queue/jetstream/streams.ts';
import type { IdentityKeys } from '../../../webhook/issuer/identity-keys.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { openClient, pullOne } from './clients.ts';
import { natsLogin } from '../../../common/bus/login.ts';
import { openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import type { NatsIdentity } from '../../../common/identity/identity.ts';
import { CONTRACT, PART_AUDIENCE, TOKEN_AUDIENCE } from '../../../common/identity/messages.ts';
import { createNkey, type Nkey } from '../../../common/identity/nkey.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTestBus, type TestBus } from './bus.ts';

const atEnd = (t: TestContext) => (release: () => unknown) => t.after(release);

function post(bus: TestBus, body: string, ca = bus.ca): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${bus.url}/exchange`, { method: 'POST', ca, agent: false });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    outgoing.end(body);
  });
}

function claimsOf(identity: NatsIdentity): { exp: number; sub: string; nats: { issuer_account: string } } {
  const [, claims] = (identity.current?.jwt ?? '').split('.');
  return JSON.parse(Buffer.from(claims ?? '', 'base64url').toString()) as ReturnType<typeof claimsOf>;
}

function openLink(
  t: TestContext,
  nats: TestNats,
  identity: NatsIdentity,
  auth: 'permissive' | 'required' = 'required',
  moreServers = '',
): NatsLink {
  const servers = `nats://localhost:${nats.port}${moreServers}`;
  const login = natsLogin(auth, identity);
  const link = openNatsLink({ servers, address: nats.host, name: 'test', log: silentLog, login });
  t.after(() => link.stop());
  return link;
}

const connected = (link: NatsLink, what = 'the link is connected') =>
  waitFor(() => link.isConnected, { what });

describe('the exchange', () => {
  it('gives a sidecar an identity that NATS believes, over TLS by the known address', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const nats = await bus.startNats();
    const of = { function: 'shop', grant: bus.grant('team-a', 'shop') };
    const identity = bus.identity(await bus.tokenFile('team-a', 'default'), of);
    const link = openLink(t, nats, identity);
    await connected(link);
    assert.equal(link.connection?.info?.tls_required, true);
    assert.deepEqual(bus.outcomes, ['ok']);
  });

  it('gives the parts theirs by their service account, in our namespace alone', async (t) => {
    const bus = await startTestBus(atEnd(t));
    for (const part of ['proxy', 'scaler'])
      await bus.identity(await bus.tokenFile('slimfaas', `slimfaas-${part}`)).valid();
    const { log, lines } = recordingLog();
    const stranger = bus.identity(
      await bus.tokenFile('team-a', 'slimfaas-proxy', PART_AUDIENCE),
      undefined,
      log,
    );
    // The one that a proxy shows to the scaler in the open.
    bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy', TOKEN_AUDIENCE), undefined, log);
    const refusals = () => lines.filter(({ fields }) => String(fields['error']).includes('no place here'));
    await waitFor(() => new Set(refusals().map(({ fields }) => fields['error'])).size === 2, {
      what: 'both are refused',
    });
    assert.equal(stranger.current, undefined);
  });

  it('takes no proof for another function, namespace or service account', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const token = await readToken(bus, 'team-a', 'default');
    const user = createNkey('user').publicKey;
    for (const [name, grant] of [
      ['pay', bus.grant('team-a', 'shop')],
      ['shop', bus.grant('team-b', 'shop')],
      ['shop', bus.grant('team-a', 'shop', 'other')],
      ['shop', ''],
    ]) {
      const { status, text } = await post(bus, JSON.stringify({ token, user, function: name, grant }));
      assert.equal(status, 403, text);
      assert.match(text, /no-grant/);
    }
  });

  it('takes no token for somebody else', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const token = await readToken(bus, 'slimfaas', 'slimfaas-proxy', 'https://kubernetes.default.svc');
    const { status, text } = await post(bus, JSON.stringify({ token, user: createNkey('user').publicKey }));
    assert.equal(status, 401);
    assert.match(text, /wrong-audience/);
  });

  const user = createNkey('user').publicKey;
  for (const [what, body, said] of [
    ['no JSON', 'x', /not JSON/],
    ['no object', '[', /not JSON/],
    ['null', 'null', /not a JSON object/],
    ['no token', JSON.stringify({ user }), /token is missing/],
    [
      'another kind of key',
      JSON.stringify({ token: 'x', user: createNkey('account').publicKey }),
      /not the public key/,
    ],
    ['a function without a proof', JSON.stringify({ token: 'x', user, function: 'shop' }), /both text/],
    ['a number as proof', JSON.stringify({ token: 'x', user, function: 'shop', grant: 1 }), /both text/],
    ['a long body', 'x'.repeat(100_000), /more than 16384 bytes/],
  ] as const)
    it(`refuses ${what}`, async (t) => {
      const bus = await startTestBus(atEnd(t));
      const { status, text } = await post(bus, body);
      assert.equal(status, 400);
      assert.match(text, said);
      assert.deepEqual(bus.outcomes, ['bad-request']);
    });

  it('is done with nobody else: the client knows the issuer by the CA', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const other = await startTestBus(atEnd(t));
    await assert.rejects(post(bus, '{}', other.ca), /certificate/);
  });
});

async function readToken(bus: TestBus, ...of: Parameters<TestBus['tokenFile']>): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return (await readFile(await bus.tokenFile(...of), 'utf8')).trim();
}

describe('an identity', () => {
  it('is renewed before it ends, and the connection is on the new one by then', async (t) => {
    const bus = await startTestBus(atEnd(t), 3_000);
    const nats = await bus.startNats();
    const identity = bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy'));
    const link = openLink(t, nats, identity);
    await connected(link);
    const heard: string[] = [];
    link.subscribe('slimfaas.activity.>', (_, data) => void heard.push(Buffer.from(data).toString()));
    const first = claimsOf(identity);
    // Past two lives of the first one: a connection that had stayed on it would have been closed.
    await waitFor(() => claimsOf(identity).exp >= first.exp + 6, {
      what: 'renewed twice',
      timeoutMs: 30_000,
    });
    await connected(link, 'the link is connected on the new identity');
    await waitFor(() => (link.publish('slimfaas.activity.a.b', Buffer.from('x')), heard.length > 0), {
      what: 'news',
    });
    assert.equal(claimsOf(identity).sub, first.sub, 'its key is the same');
  });

  it('outlives an issuer that is away for a part of its life, and a server that restarts then', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const nats = await bus.startNats();
    const identity = bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy'));
    const link = openLink(t, nats, identity);
    await connected(link);
    await bus.issuer.stop();
    const lost = waitFor(() => !link.isConnected, { what: 'the link is lost' });
    await nats.restart();
    await lost;
    await connected(link, 'the link is back without the issuer');
  });

  for (const [where, more] of [
    ['', ''],
    [', also where another name cannot be resolved', ',nats://no-such-name.invalid:4222'],
  ] as const)
    it(`that the server does not believe any more is asked for again${where}`, async (t) => {
      const bus = await startTestBus(atEnd(t));
      const nats = await bus.startNats();
      const identity = bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy'));
      const link = openLink(t, nats, identity);
      await connected(link);
      // The signing key is taken out of the Secret: another one is made, and NATS is told.
      const before = bus.fake.cells.nats?.version;
      const { 'signer.nk': _, ...rest } = bus.fake.cells.keys?.data ?? {};
      bus.fake.cells.keys = { version: 99, data: rest };
      await waitFor(() => bus.fake.cells.nats?.version !== before, { what: 'NATS is told' });
      const old = identity.current?.jwt;
      await nats.stop();
      const next = await bus.startNats();
      // The same address is not free to choose, so the link of a pod that starts again stands for it.
      const again = openLink(t, next, identity, 'required', more);
      await waitFor(() => again.isConnected, { what: 'believed again', timeoutMs: 30_000 });
      assert.notEqual(identity.current?.jwt, old);
    });

  it('may not say everything: what is refused is logged, once', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const nats = await bus.startNats();
    const { log, lines } = recordingLog();
    const identity = bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy'));
    const servers = `nats://localhost:${nats.port}`;
    const login = natsLogin('required', identity);
    const link = openNatsLink({ servers, address: nats.host, name: 'test', log, login });
    t.after(() => link.stop());
    await connected(link);
    for (const subject of ['no.such', 'no.such', 'nor.this']) link.publish(subject, Buffer.from('x'));
    const refusals = () => lines.flatMap(({ fields }) => (fields['operation'] ? [fields['subject']] : []));
    await waitFor(() => refusals().includes('nor.this'), { what: 'the last refusal is logged' });
    assert.deepEqual(refusals(), ['no.such', 'nor.this']);
  });

  it('is read with the token of the moment', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const file = await bus.tokenFile('team-a', 'slimfaas-proxy');
    const identity = bus.identity(file);
    await waitFor(() => bus.outcomes.includes('no-grant'), { what: 'refused' });
    await writeFile(file, await readToken(bus, 'slimfaas', 'slimfaas-proxy'));
    await identity.valid();
  });
});

describe('a sidecar of the version before', () => {
  const ask = async (bus: TestBus, contract?: number) => {
    const token = await readToken(bus, 'team-a', 'default');
    const user = createNkey('user').publicKey;
    const of = { function: 'shop', grant: bus.grant('team-a', 'shop') };
    return post(bus, JSON.stringify({ token, user, ...of, ...(contract === undefined ? {} : { contract }) }));
  };
  const natsOf = (text: string) => {
    const [, claims = ''] = (JSON.parse(text) as { jwt: string }).jwt.split('.');
    const { nats } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { nats: object };
    return nats as { issuer_account: string; pub: { allow?: string[] } };
  };

  it('gets nothing, and is told what to do', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const { status, text } = await ask(bus);
    assert.equal(status, 403);
    assert.match(text, /old-sidecar.*restart its workload/);
    assert.deepEqual(bus.outcomes, ['old-sidecar']);
  });

  it('gets every right where it is allowed, and is counted; new ones get theirs alone', async (t) => {
    const bus = await startTestBus(atEnd(t), 36_000_000, true);
    const { keys } = bus.issuer.identity ?? {};
    const oldText = (await ask(bus)).text;
    const { expires } = JSON.parse(oldText) as { expires: number };
    assert.ok(expires <= Date.now() + 3_600_000, 'for an hour at most');
    const old = natsOf(oldText);
    assert.equal(old.issuer_account, keys?.account.publicKey);
    assert.deepEqual(old.pub, {});
    const current = natsOf((await ask(bus, CONTRACT)).text);
    assert.equal(current.issuer_account, keys?.functions.publicKey);
    assert.ok(current.pub.allow?.includes('slimfaas.ready.team-a.shop.default-pod'));
    assert.deepEqual(bus.outcomes, ['ok-old-sidecar', 'ok']);
  });

  it('of a later contract gets what this version knows', async (t) => {
    const bus = await startTestBus(atEnd(t));
    assert.equal((await ask(bus, CONTRACT + 1)).status, 200);
  });
});

describe('moving to two accounts', () => {
  it('what one account has stored is there for the proxies, and a sidecar pulls it', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const nats = await bus.startNats();
    const { keys } = bus.issuer.identity ?? {};
    assert.ok(keys);
    const isOne = { ...keys, functions: createNkey('account') };
    await bus.tellNats(oneAccount(isOne));
    await nats.restart();
    const open = (client: BusClient) => openClient({ bus, nats, atEnd: atEnd(t) }, client);
    const scaler = await open({ role: 'scaler', pod: 'scaler-1' });
    const id = { namespace: 'shop', name: 'cart' };
    const jsm = await scaler.connection.jetstreamManager();
    for (const config of streamConfigs(jobSettings)) await jsm.streams.add(config);
    await jsm.consumers.add(JOBS_STREAM, consumerConfig(id, jobSettings, false));
    await scaler.connection.request(functionSubject('job', id), 'a job of before');
    await bus.tellNats();
    await nats.restart();
    const { connection } = await open({
      role: 'sidecar',
      namespace: 'shop',
      function: 'cart',
      pod: 'cart-1',
    });
    assert.equal(await pullOne(connection, id), 'a job of before');
  });
});

/** As the version before told NATS. */
function oneAccount({ operator, account, signer, systemAccount }: IdentityKeys): string {
  const nowMs = Date.UTC(2026, 0);
  const of = (key: Nkey, name: string, signingKeys: string[], hasJetStream: boolean) =>
    accountJwt(operator, { account: key.publicKey, name, signingKeys, hasJetStream, nowMs });
  return natsConfig({
    operatorJwt: operatorJwt(operator, { name: 'slimfaas', systemAccount: systemAccount.publicKey, nowMs }),
    systemAccount: systemAccount.publicKey,
    accounts: {
      [account.publicKey]: of(account, 'slimfaas', [signer.publicKey], true),
      [systemAccount.publicKey]: of(systemAccount, 'system', [], false),
    },
  });
}

describe('strangers', () => {
  it('get nothing from a server that asks: no credentials, no TLS, a self-made JWT', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const nats = await bus.startNats();
    const servers = `localhost:${nats.port}`;
    const at = { servers: [`${nats.host}:${nats.port}`], reconnect: false, timeout: 2_000 };
    const tls = { ca: bus.ca, servername: 'localhost' } as object;
    await assert.rejects(connect({ ...at, tls }), /Authorization Violation/, servers);
    await assert.rejects(connect({ ...at, tls, user: 'admin', pass: 'admin' }), /Authorization Violation/);
    await assert.rejects(connect({ ...at, tls: null }), /tls/i);
  });
});

describe('permissive', () => {
  it('a link goes on with a server that asks nobody, and shows its identity as soon as one asks', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const open = await startNats({ host: '127.0.0.1' });
    t.after(() => open.stop());
    const identity = bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy'));
    const link = openLink(t, open, identity, 'permissive');
    await connected(link);
    assert.equal(link.connection?.info?.tls_required ?? false, false);
    const asking = await bus.startNats();
    await connected(openLink(t, asking, identity, 'permissive'));
  });

  it('a link waits for the issuer 2 s at most', async (t) => {
    const bus = await startTestBus(atEnd(t));
    const open = await startNats({ host: '127.0.0.1' });
    t.after(() => open.stop());
    const identity = bus.identity('/does/not/exist');
    await connected(openLink(t, open, identity, 'permissive'));
  });
});
