import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import {
  verifyToken,
  type PublishedKeys,
  type TokenProblem,
  type TokenKeys,
} from '../../../webhook/issuer/verify-token.ts';

const ISSUER = 'https://kubernetes.default.svc';
const NOW = Date.parse('2026-06-01T12:00:00Z');
const SECONDS = NOW / 1_000;
const SHOP = {
  iss: ISSUER,
  aud: ['slimfaas'],
  sub: 'system:serviceaccount:team-a:shop',
  iat: SECONDS - 60,
  exp: SECONDS + 600,
  'kubernetes.io': {
    namespace: 'team-a',
    serviceaccount: { name: 'shop', uid: 'u1' },
    pod: { name: 'shop-7d9f-x2x4z', uid: 'u2' },
  },
};

interface Key {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: object;
}

async function createKey(kid: string, alg = 'RS256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

function published(...keys: Key[]): PublishedKeys {
  return { issuer: ISSUER, jwks: { keys: keys.map(({ jwk }) => jwk) } } as unknown as PublishedKeys;
}

function tokenOf(key: Key, claims: object = SHOP): Promise<string> {
  return new SignJWT(claims as Record<string, unknown>)
    .setProtectedHeader({ alg: key.alg, kid: key.kid })
    .sign(key.privateKey);
}

function fixed(keys: PublishedKeys): TokenKeys {
  return { current: async () => keys, refresh: async () => undefined };
}

const refused = (code: TokenProblem) => ({ name: 'TokenError', code });

describe('a token of a service account', () => {
  let key: Key;
  let other: Key;
  before(async () => {
    key = await createKey('k1');
    other = await createKey('k1'); // the same name, another key
  });
  const verify = async (token: string, keys = fixed(published(key))) => verifyToken(token, keys, NOW);

  it('says namespace, service account, pod and its uid', async () => {
    assert.deepEqual(await verify(await tokenOf(key)), {
      namespace: 'team-a',
      serviceAccount: 'shop',
      pod: 'shop-7d9f-x2x4z',
      podUid: 'u2',
      isPart: false,
    });
  });

  it('is taken with an elliptic key too', async () => {
    const ec = await createKey('k2', 'ES256');
    assert.equal((await verify(await tokenOf(ec), fixed(published(ec)))).pod, 'shop-7d9f-x2x4z');
  });

  const bad: readonly [string, object, TokenProblem][] = [
    ['for another audience', { ...SHOP, aud: [ISSUER] }, 'wrong-audience'],
    ['for no audience', { ...SHOP, aud: undefined }, 'wrong-audience'],
    ['of another cluster', { ...SHOP, iss: 'https://other' }, 'wrong-issuer'],
    ['that has expired', { ...SHOP, exp: SECONDS - 31 }, 'expired'],
    ['that never ends', { ...SHOP, exp: undefined }, 'bad-token'],
    ['that begins tomorrow', { ...SHOP, nbf: SECONDS + 86_400 }, 'bad-token'],
    ['of no pod', { ...SHOP, 'kubernetes.io': { ...SHOP['kubernetes.io'], pod: undefined } }, 'no-pod'],
    ['whose subject is another account', { ...SHOP, sub: 'system:serviceaccount:team-b:shop' }, 'no-pod'],
    ['that says nothing of Kubernetes', { ...SHOP, 'kubernetes.io': undefined }, 'no-pod'],
  ];
  for (const [what, claims, code] of bad)
    it(`${what} is refused: ${code}`, async () => {
      await assert.rejects(verify(await tokenOf(key, claims)), refused(code));
    });

  it('that another key has signed is refused', async () => {
    await assert.rejects(verify(await tokenOf(other)), refused('bad-token'));
  });

  it('that nobody has signed is refused', async () => {
    const [, claims] = (await tokenOf(key)).split('.');
    for (const alg of ['none', 'HS256']) {
      const head = Buffer.from(JSON.stringify({ alg, kid: 'k1' })).toString('base64url');
      await assert.rejects(verify(`${head}.${claims}.`), refused('bad-token'));
    }
  });

  for (const rubbish of ['', 'x', 'a.b.c', 'ey.ey.ey', '.'.repeat(1_000)])
    it(`that is no token is refused: ${JSON.stringify(rubbish.slice(0, 10))}`, async () => {
      await assert.rejects(verify(rubbish), refused('bad-token'));
    });

  it('of a key that was rotated in since makes the keys be read again, once', async () => {
    const fresh = await createKey('k9');
    let reads = 0;
    const keys = {
      current: async () => published(key),
      refresh: async () => (reads++, published(key, fresh)),
    };
    assert.equal((await verify(await tokenOf(fresh), keys)).namespace, 'team-a');
    assert.equal(reads, 1);
    await verify(await tokenOf(key), keys);
    assert.equal(reads, 1, 'a known key asks nobody');
  });

  it('of a key that nobody publishes is refused, also after a look', async () => {
    const unknown = await createKey('k9');
    const keys = { current: async () => published(key), refresh: async () => published(key) };
    await assert.rejects(verify(await tokenOf(unknown), keys), refused('unknown-key'));
    await assert.rejects(verify(await tokenOf(unknown)), refused('unknown-key'));
  });

  it('of a key that is published no more is refused', async () => {
    await assert.rejects(
      verify(await tokenOf(key), fixed(published(await createKey('k2')))),
      refused('unknown-key'),
    );
  });
});
