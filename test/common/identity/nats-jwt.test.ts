/** The JWTs, as a real nats-server in operator mode takes or refuses them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect, jwtAuthenticator, type NatsConnection, type NatsError } from 'nats';
import { natsConfig } from '../../../common/identity/nats-config.ts';
import { accountJwt, operatorJwt, userJwt, type NatsPermissions } from '../../../common/identity/nats-jwt.ts';
import { createNkey, type Nkey } from '../../../common/identity/nkey.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';

const operator = createNkey('operator');
const account = createNkey('account');
const systemAccount = createNkey('account');
const signer = createNkey('account');
const EVERYTHING: NatsPermissions = { publish: {}, subscribe: {} };
let nats: TestNats;

before(async () => {
  const nowMs = Date.now();
  const jwts = {
    [account.publicKey]: accountJwt(operator, {
      account: account.publicKey,
      name: 'slimfaas',
      signingKeys: [signer.publicKey],
      hasJetStream: true,
      nowMs,
    }),
    [systemAccount.publicKey]: accountJwt(operator, {
      account: systemAccount.publicKey,
      name: 'SYS',
      signingKeys: [],
      hasJetStream: false,
      nowMs,
    }),
  };
  const facts = { name: 'slimfaas', systemAccount: systemAccount.publicKey, nowMs };
  const config = natsConfig({
    operatorJwt: operatorJwt(operator, facts),
    systemAccount: systemAccount.publicKey,
    accounts: jwts,
  });
  nats = await startNats({ config });
});
after(() => nats.stop());

interface Attempt {
  readonly signedBy?: Nkey;
  readonly permissions?: NatsPermissions;
  readonly lifeMs?: number;
  /** The key that signs the server's nonce; as a rule the user's own. */
  readonly key?: Nkey;
}

async function connectAs(attempt: Attempt = {}): Promise<NatsConnection> {
  const user = createNkey('user');
  const nowMs = Date.now();
  const jwt = userJwt(attempt.signedBy ?? signer, {
    account: account.publicKey,
    user: user.publicKey,
    name: 'a pod',
    permissions: attempt.permissions ?? EVERYTHING,
    nowMs,
    expiresMs: nowMs + (attempt.lifeMs ?? 60_000),
  });
  const authenticator = jwtAuthenticator(jwt, Buffer.from((attempt.key ?? user).seed));
  return connect({ servers: nats.url, authenticator, reconnect: false });
}

test('a user of the signing key connects, and has JetStream', async () => {
  const connection = await connectAs();
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'A', subjects: ['a.>'] });
  assert.equal((await manager.streams.info('A')).config.name, 'A');
  await connection.close();
});

test('without a JWT nobody connects', async () => {
  await assert.rejects(connect({ servers: nats.url, reconnect: false }), /Authorization Violation/);
});

test('a JWT that somebody else signed is refused', async () => {
  await assert.rejects(connectAs({ signedBy: createNkey('account') }), /Authorization Violation/);
});

test('a JWT that has expired is refused', async () => {
  await assert.rejects(connectAs({ lifeMs: -5_000 }), /Authorization Violation/);
});

test('a JWT is of no use without its key', async () => {
  await assert.rejects(connectAs({ key: createNkey('user') }), /Authorization Violation/);
});

test('permissions hold: what is not allowed to publish does not arrive, what is not allowed to subscribe fails', async () => {
  const permissions = { publish: { allow: ['a.mine'] }, subscribe: { allow: ['a.mine', '_INBOX.x.>'] } };
  const connection = await connectAs({ permissions });
  const watcher = await connectAs();
  const heard: string[] = [];
  watcher.subscribe('a.>', { callback: (_, { subject }) => void heard.push(subject) });
  await watcher.flush();
  const refused = new Promise<NatsError | null>((resolve) => {
    connection.subscribe('>', { callback: (error) => resolve(error) });
  });
  connection.publish('a.other');
  connection.publish('a.mine');
  await connection.flush();
  await watcher.flush();
  assert.match(String((await refused)?.message), /Permissions Violation/i);
  assert.deepEqual(heard, ['a.mine']);
  await Promise.all([connection.close(), watcher.close()]);
});

test('at its end the server closes the connection', async () => {
  const connection = await connectAs({ lifeMs: 2_000 });
  const error = await connection.closed();
  assert.match(String(error), /Authentication Expired/);
});
