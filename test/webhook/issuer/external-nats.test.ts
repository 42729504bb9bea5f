/** A NATS that is not ours, on real servers: pods get what it asks for from the issuer, and from nobody else. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { natsAccounts } from '../../../cli/parts/nats-accounts.ts';
import { anySidecarPermissions, rolePermissions } from '../../../common/bus/permissions.ts';
import { natsLogin } from '../../../common/bus/login.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { openIdentity } from '../../../common/identity/identity.ts';
import { userJwt } from '../../../common/identity/nats-jwt.ts';
import { createNkey, readSeed } from '../../../common/identity/nkey.ts';
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import type { Upkeep } from '../../../common/queue/upkeep.ts';
import { registerUnauthenticated } from '../../../common/bus/bus-metrics.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { UsageError } from '../../../common/runtime/errors.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { webhookFlags } from '../../../webhook/flags.ts';
import { createWebhookMetrics } from '../../../webhook/metrics.ts';
import { issuerOf } from '../../../webhook/issuer/of-config.ts';
import { readExternalNats } from '../../../webhook/issuer/external-nats.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import type { AtEnd } from '../../helpers/local-api.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTestBus, type TestBus } from './bus.ts';
import { openClient, pullOne } from './clients.ts';
import { ownNats, secretFolder, signingAccounts } from './own-nats.ts';

const SIDECAR = { role: 'sidecar', namespace: 'shop', function: 'pay', pod: 'pay-1' } as const;
const id = { namespace: 'shop', name: 'pay' };

async function busOf(
  atEnd: AtEnd,
  places: Partial<Parameters<typeof readExternalNats>[0]>,
  log = silentLog,
  onExternal: (isUsable: boolean) => unknown = () => undefined,
): Promise<TestBus> {
  const all = { signingKey: '', credentials: '', caFile: '', ...places };
  const readExternal = () => readExternalNats(all);
  return startTestBus(atEnd, undefined, false, { readExternal, onExternal, log });
}

/** A job from a proxy to a sidecar, whose stream a scaler made; and a question that goes the other way. */
async function jobRuns(bus: TestBus, nats: TestNats, atEnd: AtEnd): Promise<void> {
  const scaler = await openClient({ bus, nats, atEnd }, { role: 'scaler', pod: 'scaler-1' });
  const upkeep = jetStreamUpkeep(scaler.link).live as Upkeep;
  await upkeep.reconcile(jobSettings, silentLog);
  await upkeep.open({ id, isOrdered: false }, jobSettings);
  const proxy = await openClient({ bus, nats, atEnd }, { role: 'proxy', pod: 'proxy-1' });
  await proxy.connection.jetstream().publish('slimfaas.job.shop.pay', Buffer.from('a job'));
  const sidecar = await openClient({ bus, nats, atEnd }, SIDECAR);
  assert.equal(await pullOne(sidecar.connection, id), 'a job');
  sidecar.link.serve('slimfaas.job-question.shop.pay', () => Buffer.from('mine'));
  await sidecar.connection.flush();
  const answer = await proxy.link.request('slimfaas.job-question.shop.pay', Buffer.from('whose?'), 2_000);
  assert.equal(Buffer.from(answer ?? []).toString(), 'mine');
  scaler.link.serve('slimfaas.ask.*.*.*', () => Buffer.from('yes'));
  await scaler.connection.flush();
  const said = await sidecar.link.request('slimfaas.ask.shop.pay.pay-1', Buffer.from('?'), 2_000);
  assert.equal(Buffer.from(said ?? []).toString(), 'yes');
}

describe('the signing key of an account', () => {
  for (const isTwo of [false, true])
    it(`${isTwo ? 'two accounts' : 'one account'}: a job runs, and a sidecar may do what its function needs`, async (t) => {
      const atEnd: AtEnd = (release) => t.after(release);
      const own = await ownNats(atEnd);
      const { config, files } = signingAccounts({ isTwo });
      const { dir } = await secretFolder(atEnd, files);
      const { log, lines } = recordingLog();
      const bus = await busOf(atEnd, { signingKey: dir, caFile: own.caFile }, log);
      const nats = await own.start(config);
      await jobRuns(bus, nats, atEnd);
      const { refused } = await openClient({ bus, nats, atEnd }, { ...SIDECAR, pod: 'pay-2' });
      const others = [
        'slimfaas.job.shop.cart',
        'slimfaas.result.shop.cart.1',
        'slimfaas.ready.shop.cart.cart-1',
      ];
      const said = [...others, 'slimfaas.ready.shop.pay.pay-1', '$JS.API.STREAM.PURGE.SLIMFAAS_JOBS'];
      assert.deepEqual(
        await refused((connection) => {
          for (const subject of said) connection.publish(subject);
        }),
        said.map((subject) => `publish ${subject}`),
      );
      const heard = ['>', 'slimfaas.>', '_INBOX_proxy.>', 'slimfaas.share.shop.cart'];
      assert.deepEqual(
        await refused((connection) => {
          for (const subject of heard) connection.subscribe(subject, { callback: () => undefined });
        }),
        heard.map((subject) => `subscribe ${subject}`),
      );
      const warned = lines.filter(({ message }) => message.startsWith('functions share the account'));
      assert.equal(warned.length, isTwo ? 0 : 1);
    });
});

describe('credentials for each role', () => {
  const users = (version: string): string =>
    natsAccounts().replaceAll(/\$SLIMFAAS_([A-Z]+)_PASSWORD/g, (_, role: string) => `"${role}-${version}"`);
  const secret = (version: string): Record<string, string> =>
    Object.fromEntries(
      ['proxy', 'scaler', 'sidecar'].flatMap((role) => [
        [`${role}.user`, `slimfaas-${role}`],
        [`${role}.password`, `${role.toUpperCase()}-${version}`],
      ]),
    );

  it('users with passwords: a job runs; at start it is said that functions share one', async (t) => {
    const atEnd: AtEnd = (release) => t.after(release);
    const own = await ownNats(atEnd);
    const { dir } = await secretFolder(atEnd, secret('a'));
    const { log, line } = recordingLog();
    const bus = await busOf(atEnd, { credentials: dir, caFile: own.caFile }, log);
    await jobRuns(bus, await own.start(users('a')), atEnd);
    await line('functions share one user on NATS: each sidecar can read and write the jobs of all');
    assert.deepEqual([...new Set(bus.outcomes)], ['ok-shared']);
  });

  it('other ones are with a pod that the server refuses, as soon as they are mounted', async (t) => {
    const atEnd: AtEnd = (release) => t.after(release);
    const own = await ownNats(atEnd);
    const { dir, write } = await secretFolder(atEnd, secret('a'));
    const usable: boolean[] = [];
    const bus = await busOf(atEnd, { credentials: dir, caFile: own.caFile }, silentLog, (is) =>
      usable.push(is),
    );
    const nats = await own.start(users('a'));
    const { link } = await openClient({ bus, nats, atEnd }, SIDECAR);
    const seen: boolean[] = [];
    link.onStatus((isConnected) => seen.push(isConnected));
    await write(secret('b'));
    await own.change(nats, users('b'));
    await waitFor(() => seen[0] === false && link.isConnected, {
      what: 'cut off, and connected with the new ones',
      timeoutMs: 30_000,
    });
    // What was half written does not take away what there is.
    usable.length = 0;
    await write({ 'scaler.token': 'beside a user' });
    await waitFor(() => usable.includes(false), { what: 'it was looked at' });
    await openClient({ bus, nats, atEnd }, { ...SIDECAR, pod: 'pay-2' });
  });

  it('one token for all', async (t) => {
    const atEnd: AtEnd = (release) => t.after(release);
    const own = await ownNats(atEnd);
    const token = 'a-token-of-their-own';
    const files = { 'proxy.token': token, 'scaler.token': token, 'sidecar.token': token };
    const { dir } = await secretFolder(atEnd, files);
    const bus = await busOf(atEnd, { credentials: dir, caFile: own.caFile });
    await jobRuns(bus, await own.start(`authorization { token: "${token}" }`), atEnd);
  });

  it('credentials files of users', async (t) => {
    const atEnd: AtEnd = (release) => t.after(release);
    const own = await ownNats(atEnd);
    const { config, files } = signingAccounts({ isTwo: false });
    const { dir } = await secretFolder(atEnd, credsOf(files));
    const bus = await busOf(atEnd, { credentials: dir, caFile: own.caFile });
    await jobRuns(bus, await own.start(config), atEnd);
  });
});

/** A credentials file for each role, as `nsc generate creds` writes it. */
function credsOf({ account = '', 'signer.nk': signer = '' }: Readonly<Record<string, string>>) {
  const fileOf = (role: 'proxy' | 'scaler' | 'sidecar'): string => {
    const user = createNkey('user');
    const jwt = userJwt(readSeed('account', signer), {
      account,
      user: user.publicKey,
      name: role,
      permissions: role === 'sidecar' ? anySidecarPermissions('with the proxies') : rolePermissions(role),
      nowMs: Date.now(),
      expiresMs: Date.now() + 3_600_000,
    });
    return [
      `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`,
      `-----BEGIN USER NKEY SEED-----\n${user.seed}\n------END USER NKEY SEED------`,
    ].join('\n');
  };
  const roles = ['proxy', 'scaler', 'sidecar'] as const;
  return Object.fromEntries(roles.map((role) => [`${role}.creds`, fileOf(role)]));
}

describe('what is mounted and cannot be used is an error that says what', () => {
  const { files, accountSeed } = signingAccounts({ isTwo: true });
  const signing: readonly [Record<string, string | undefined>, RegExp][] = [
    [
      { account: undefined },
      /^account is missing: the public key \(A…\) of the account that signer\.nk signs for/,
    ],
    [{ account: 'AXYZ' }, /^account is no public key of an account/],
    [{ 'signer.nk': undefined }, /^signer\.nk is missing: a signing key/],
    [{ 'signer.nk': createNkey('user').seed }, /^signer\.nk: not the seed of a key of kind account/],
    [{ 'signer.nk': accountSeed }, /^signer\.nk is the account’s own key; give a signing key/],
    [{ 'functions-account': undefined }, /^functions-account is missing/],
    [{ 'functions-signer.nk': undefined }, /^functions-signer\.nk is missing/],
  ];
  const creds = { 'proxy.token': 'a', 'scaler.token': 'b', 'sidecar.token': 'c' };
  const static_: readonly [Record<string, string | undefined>, RegExp][] = [
    [{ 'scaler.token': undefined }, /^scaler: give one of scaler\.creds, .*; there are 0/],
    [{ 'proxy.user': 'x' }, /^proxy: give one of .*; there are 2/],
    [{ 'sidecar.token': undefined, 'sidecar.user': 'x' }, /^sidecar\.password is missing/],
    [{ 'proxy.token': '' }, /^proxy\.token is missing: not empty/],
    [{ 'proxy.token': undefined, 'proxy.creds': 'x' }, /^proxy\.creds: no credentials file/],
  ];
  const given = (all: object, change: object): Record<string, string> =>
    Object.fromEntries(
      Object.entries({ ...all, ...change } as Record<string, string>).filter(
        ([, text]) => text !== undefined,
      ),
    );
  for (const [change, message] of signing)
    it(`signing key: ${message.source}`, async (t) => {
      const { dir } = await secretFolder((release) => t.after(release), given(files, change));
      const places = { signingKey: dir, credentials: '', caFile: '' };
      await assert.rejects(readExternalNats(places), (error: Error) => message.test(error.message));
    });
  for (const [change, message] of static_)
    it(`credentials: ${message.source}`, async (t) => {
      const { dir } = await secretFolder((release) => t.after(release), given(creds, change));
      const places = { signingKey: '', credentials: dir, caFile: '' };
      await assert.rejects(readExternalNats(places), (error: Error) => message.test(error.message));
    });
  it('a CA that is none', async (t) => {
    const { dir } = await secretFolder((release) => t.after(release), { ...creds, 'ca.crt': 'x' });
    const places = { signingKey: '', credentials: dir, caFile: join(dir, 'ca.crt') };
    await assert.rejects(readExternalNats(places), /ca\.crt holds no certificate/);
  });
});

test('a change reaches a pod that no server refuses; what is the same makes nobody connect again', async (t) => {
  const atEnd: AtEnd = (release) => t.after(release);
  const tokens = (text: string) => ({ 'proxy.token': text, 'scaler.token': text, 'sidecar.token': text });
  const { dir, write } = await secretFolder(atEnd, tokens('a'));
  const bus = await busOf(atEnd, { credentials: dir });
  let laterMs = 0;
  const identity = openIdentity({
    place: { url: bus.url, address: '127.0.0.1' },
    ca: async () => bus.ca,
    input: { tokenFile: await bus.tokenFile('slimfaas', 'slimfaas-proxy') },
    log: silentLog,
    now: () => Date.now() + laterMs,
  });
  atEnd(() => identity.stop());
  await identity.valid();
  const { renewMs = 0, natsCa } = identity.current ?? {};
  assert.ok(renewMs > 0 && renewMs <= 300_000, 'it is asked again soon');
  assert.equal(natsCa, '', 'without a CA those of the system count');
  const renewed: unknown[] = [];
  identity.onRenewed(({ shared }) => renewed.push(shared));
  const askAgain = (): void => {
    laterMs += 10_000;
    identity.renew();
  };
  askAgain();
  await waitFor(() => bus.outcomes.length === 2, { what: 'it has asked again' });
  assert.deepEqual(identity.sign(undefined), { auth_token: 'a' });
  await write(tokens('b'));
  await waitFor(() => (askAgain(), renewed.length > 0), { what: 'it has the new one', intervalMs: 50 });
  assert.deepEqual(renewed, [{ kind: 'token', token: 'b' }]);
  assert.deepEqual(identity.sign(undefined), { auth_token: 'b' });
});

test('a server with a certificate of somebody else is not spoken to', async (t) => {
  const atEnd: AtEnd = (release) => t.after(release);
  const [own, other] = [await ownNats(atEnd), await ownNats(atEnd)];
  const token = { 'proxy.token': 'a', 'scaler.token': 'a', 'sidecar.token': 'a' };
  const { dir } = await secretFolder(atEnd, token);
  const bus = await busOf(atEnd, { credentials: dir, caFile: other.caFile });
  const nats = await own.start('authorization { token: a }');
  const { log, line } = recordingLog();
  const identity = bus.identity(await bus.tokenFile('slimfaas', 'slimfaas-proxy'));
  const servers = `tls://localhost:${nats.port}`;
  const link = openNatsLink({ servers, name: 'proxy', log, login: natsLogin('required', identity) });
  atEnd(() => link.stop());
  const { fields } = await line('no NATS server; trying again');
  assert.match(String(fields['error']), /certificate/);
  assert.equal(link.isConnected, false);
});

test('tls:// without more insists on TLS too', async (t) => {
  const nats = await startNats();
  t.after(() => nats.stop());
  const { log, line } = recordingLog();
  const link = openNatsLink({ servers: nats.url.replace('nats:', 'tls:'), name: 'proxy', log });
  t.after(() => link.stop());
  const { fields } = await line('no NATS server; trying again');
  assert.match(String(fields['error']), /tls|SERVER_OPT_NA|not available/i);
});

test('whether the server asks who one is is known, and said once', async (t) => {
  const open = await startNats();
  t.after(() => open.stop());
  const { log, line, lines } = recordingLog();
  const link = openNatsLink({ servers: open.url, name: 'proxy', log });
  t.after(() => link.stop());
  const { level } = await line('NATS asks nobody who one is: whoever reaches it can read and write all jobs');
  assert.equal(level, 'warn');
  assert.equal(link.isUnauthenticated, true);
  const registry = createRegistry('proxy', '0');
  registerUnauthenticated(registry, link);
  assert.match(await registry.metrics(), /^slimfaas_nats_unauthenticated(\{.*\})? 1$/m);
  await open.restart();
  await waitFor(() => lines.filter(({ message }) => message === 'NATS connected').length === 2, {
    what: 'again',
  });
  assert.equal(lines.filter(({ message }) => message.startsWith('NATS asks nobody')).length, 1);
  await open.kill();
  await waitFor(() => !link.isConnected, { what: 'away' });
  assert.equal(link.isUnauthenticated, false);
});

for (const [flags, message] of [
  [
    ['--nats-signing-key=/a', '--nats-credentials=/b', '--auth=required'],
    /two ways to the same NATS: give one/,
  ],
  [
    ['--nats-ca-file=/a', '--auth=required'],
    /--nats-ca-file goes with --nats-signing-key or --nats-credentials/,
  ],
  [['--nats-credentials=/a'], /need --auth required or permissive/],
] as const)
  test(`${flags.join(' ')}: refused at the start`, () => {
    const nothing = undefined as never;
    const config = readFlags(webhookFlags, flags, {});
    const metrics = createWebhookMetrics(createRegistry('webhook', '0'));
    const start = () => issuerOf(config, { log: silentLog, kube: nothing }, metrics);
    assert.throws(start, (error) => error instanceof UsageError && message.test(error.message));
  });
