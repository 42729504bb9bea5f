/** An issuer with tokens of its own making, and a NATS server that believes it: over TLS, in this process's hands. */
import { PART_AUDIENCE, TOKEN_AUDIENCE } from '../../../common/identity/messages.ts';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { openIdentity, type NatsIdentity } from '../../../common/identity/identity.ts';
import { silentLog, type Log } from '../../../common/runtime/log.ts';
import { grantFor } from '../../../webhook/issuer/identity-keys.ts';
import { startIssuer, type Issuer, type IssuerOptions } from '../../../webhook/issuer/issuer.ts';
import type { PublishedKeys } from '../../../webhook/issuer/verify-token.ts';
import type { AtEnd } from '../../helpers/local-api.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { fakeStores, type FakeStores } from './identities.ts';

const DAY = 86_400_000;
const ISSUER = 'https://kubernetes.default.svc';

export interface TestBus {
  readonly fake: FakeStores;
  readonly issuer: Issuer;
  readonly url: string;
  readonly outcomes: string[];
  /** PEM, as pods have it. */
  readonly ca: string;
  /** Writes a token of that service account's pod; the file's path. */
  tokenFile(namespace: string, serviceAccount: string, audience?: string, pod?: string): Promise<string>;
  /** What the webhook writes into the environment of a function's sidecar. */
  grant(namespace: string, name: string, serviceAccount?: string): string;
  identity(tokenFile: string, of?: { function: string; grant: string }, log?: Log): NatsIdentity;
  /** A server that asks for identities. @param more of its configuration, with the folder of certificates */
  startNats(more?: (dir: string) => Promise<string>): Promise<TestNats>;
  /** Writes what the keeper says now; a server of startNats takes it up when it is restarted. */
  tellNats(config?: string): Promise<void>;
}

export async function startTestBus(
  atEnd: AtEnd,
  lifeMs = 3_600_000,
  allowsOldSidecars = false,
  more: Partial<IssuerOptions> = {},
): Promise<TestBus> {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-bus-'));
  atEnd(() => rm(dir, { recursive: true, force: true }));
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' };
  const published = { issuer: ISSUER, jwks: { keys: [jwk] } } as PublishedKeys;
  const fake = fakeStores();
  const outcomes: string[] = [];
  const issuer = startIssuer({
    host: '127.0.0.1',
    port: 0,
    namespace: 'slimfaas',
    lifeMs,
    checkMs: 50,
    stores: fake.stores,
    policy: {
      dnsNames: ['localhost'],
      authorityValidMs: 3_650 * DAY,
      certificateValidMs: 730 * DAY,
      settleMs: 180 * DAY,
    },
    tokenKeys: { current: async () => published, refresh: async () => undefined },
    allowsOldSidecars,
    onOutcome: (outcome) => outcomes.push(outcome),
    onLimited: () => undefined,
    now: Date.now,
    log: silentLog,
    ...more,
  });
  atEnd(() => issuer.stop());
  await waitFor(() => issuer.identity !== undefined, { what: 'the issuer has keys' });
  const url = `https://localhost:${issuer.port}`;
  let count = 0;
  const tellNats = async (config?: string): Promise<void> => {
    const files: Record<string, string> = {
      ...fake.cells.nats?.data,
      ...(config === undefined ? {} : { 'nats.conf': config }),
    };
    for (const file of ['tls.crt', 'tls.key', 'ca.crt', 'nats.conf'])
      await writeFile(join(dir, file), files[file] ?? '', { mode: 0o600 });
  };
  return {
    fake,
    issuer,
    url,
    outcomes,
    ca: issuer.identity?.ca ?? '',
    async tokenFile(
      namespace,
      serviceAccount,
      audience = audienceOf(namespace),
      name = `${serviceAccount}-pod`,
    ) {
      const pod = { name, uid: `uid-${++count}` };
      const claims = { namespace, serviceaccount: { name: serviceAccount }, pod };
      const token = await new SignJWT({ 'kubernetes.io': claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
        .setIssuer(ISSUER)
        .setAudience(audience)
        .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
        .setExpirationTime('1h')
        .sign(privateKey);
      const path = join(dir, `token-${count}`);
      await writeFile(path, `${token}\n`);
      return path;
    },
    grant(namespace, name, serviceAccount = 'default') {
      const { grantKey = '' } = issuer.identity?.keys ?? {};
      return grantFor(grantKey, { namespace, serviceAccount, function: name });
    },
    identity(tokenFile, of, log = silentLog) {
      const ca = issuer.identity?.ca ?? '';
      const place = { url, address: '127.0.0.1' };
      const identity = openIdentity({ place, ca: async () => ca, input: { tokenFile, ...of }, log });
      atEnd(() => identity.stop());
      return identity;
    },
    tellNats,
    async startNats(more = async () => '') {
      await tellNats();
      const tls = `tls { cert_file: "${join(dir, 'tls.crt')}", key_file: "${join(dir, 'tls.key')}" }`;
      const config = `${tls}\ninclude "${relativeTo(dir)}"\n${await more(dir)}`;
      const nats = await startNats({ host: '127.0.0.1', config });
      atEnd(() => nats.stop());
      return nats;
    },
  };
}

/** `include` takes paths that are relative to the file that says it; both are in folders of the same one. */
function relativeTo(dir: string): string {
  return join('..', dir.slice(tmpdir().length), 'nats.conf');
}

/** As the chart mounts them. */
function audienceOf(namespace: string): string {
  return namespace === 'slimfaas' ? PART_AUDIENCE : TOKEN_AUDIENCE;
}
