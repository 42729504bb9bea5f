/** Tokens that somebody made up, and issuers whose keys change, are odd, or cannot be had. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from 'jose';
import type { JwtSpec } from '../../../common/function/callers.ts';
import { identify } from '../../../proxy/callers/identify.ts';
import { CallerTokens } from '../../../proxy/callers/tokens.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTokenIssuer, type TokenIssuer } from './token-issuer.ts';

interface TestTokens {
  readonly tokens: CallerTokens;
  /** Moves the clock on. */
  wait(ms: number): void;
}

function tokensOf(...issuers: TokenIssuer[]): TestTokens {
  let later = 0;
  const tokens = new CallerTokens(
    issuers.map(({ url }) => url),
    [],
    {
      resolve: async () => ['127.0.0.1'],
      now: () => Date.now() + later,
      onError: () => undefined,
      maxBytes: 65_536,
    },
  );
  return { tokens, wait: (ms) => void (later += ms) };
}

/** `ok`, or the reason of the refusal. */
async function verdict({ tokens }: TestTokens, token: string): Promise<string> {
  try {
    await tokens.verify(token);
    return 'ok';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const soon = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;

test('nobody chooses how a token is checked: by no signature, by the public key as a secret, by a key of its own', async () => {
  await using issuer = await startTokenIssuer();
  const t = tokensOf(issuer);
  const claims = { iss: issuer.url, sub: 'ann', exp: soon(300) };
  const [jwk] = issuer.keys as [JWK];
  const own = await generateKeyPair('ES256', { extractable: true });
  const signed = (header: Record<string, unknown>): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES256', ...header }).sign(own.privateKey);
  const asSecret = Buffer.from(JSON.stringify(jwk));
  const made: Record<string, string> = {
    none: `${encoded({ alg: 'none' })}.${encoded(claims)}.`,
    'None, with a key': `${encoded({ alg: 'None', kid: '0' })}.${encoded(claims)}.`,
    'no algorithm': `${encoded({ kid: '0' })}.${encoded(claims)}.AAAA`,
    'the public key as a secret': await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: '0' })
      .sign(asSecret),
    'the right name, another key': await signed({ kid: '0' }),
    'a key of its own': await signed({ kid: '0', jwk: await exportJWK(own.publicKey) }),
    'a URL of keys': await signed({ kid: '0', jku: 'http://127.0.0.1:1/keys' }),
    'a name like a path': await signed({ kid: '../../dev/null' }),
    'a name that all objects have': await signed({ kid: '__proto__' }),
    'something critical': `${encoded({ alg: 'ES256', kid: '0', crit: ['x'], x: 1 })}.${encoded(claims)}.AAAA`,
    'two dots': '..',
    'a list': `${encoded([])}.${encoded([])}.AAAA`,
    'an issuer that is no text': `${encoded({ alg: 'ES256', kid: '0' })}.${encoded({ ...claims, iss: [issuer.url] })}.AAAA`,
    'a huge one': `${encoded({ alg: 'ES256', kid: '0' })}.${encoded({ ...claims, x: 'x'.repeat(200_000) })}.AAAA`,
  };
  for (const [what, token] of Object.entries(made))
    assert.equal(await verdict(t, token), 'unauthorized', what);
  assert.equal(t.tokens.bytes, 0, 'none is remembered');
  assert.equal(await verdict(t, await issuer.token({ sub: 'ann' })), 'ok');
});

test('times: five seconds of clocks that differ, and not more; no end is none', async () => {
  await using issuer = await startTokenIssuer();
  const t = tokensOf(issuer);
  for (const [what, claims, expires, said] of [
    ['it has just ended', {}, soon(-3), 'ok'],
    ['it has ended', {}, soon(-20), 'unauthorized'],
    ['it begins in a moment', { nbf: soon(3) }, soon(60), 'ok'],
    ['it begins later', { nbf: soon(20) }, soon(60), 'unauthorized'],
    ['its begin is no time', { nbf: 'now' }, soon(60), 'unauthorized'],
    ['it never ends', {}, 1e300, 'ok'],
  ] as const)
    assert.equal(await verdict(t, await issuer.token(claims, expires)), said, what);
  const [jwk] = issuer.keys;
  assert.ok(jwk);
  const endless = tokensOf(issuer);
  const token = await issuer.token({}, soon(2));
  assert.equal(await verdict(endless, token), 'ok');
  endless.wait(8_000);
  assert.equal(await verdict(endless, token), 'unauthorized', 'what is remembered ends too');
});

test('keys that change cost no call: published before, at once, under the same name, and without names', async () => {
  for (const [what, kid, change] of [
    ['published before it signs', '0', { isBeside: true }],
    ['at once', '0', {}],
    ['under the same name', '0', { kid: '0' }],
    ['without names, beside the old one', undefined, { kid: undefined, isBeside: true }],
    ['without names, at once', undefined, { kid: undefined }],
  ] as const) {
    await using issuer = await startTokenIssuer(kid);
    const t = tokensOf(issuer);
    const before = await issuer.token({ sub: 'before' });
    assert.equal(await verdict(t, before), 'ok', what);
    t.wait(5_001);
    await issuer.rotate(change);
    const many = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => verdict(t, await issuer.token({ sub: `caller ${i}` }))),
    );
    assert.deepEqual(new Set(many), new Set(['ok']), what);
    if ('isBeside' in change) assert.equal(await verdict(t, before), 'ok', `${what}: a token of before`);
  }
});

test('made-up tokens cost the issuer one look in five seconds, and hold up a rotation no longer', async () => {
  await using issuer = await startTokenIssuer();
  const t = tokensOf(issuer);
  assert.equal(await verdict(t, await issuer.token({})), 'ok');
  t.wait(5_001);
  const { privateKey } = await generateKeyPair('ES256');
  const madeUp = (i: number): Promise<string> =>
    new SignJWT({ iss: issuer.url, exp: soon(300) })
      .setProtectedHeader({ alg: 'ES256', kid: `k${i}` })
      .sign(privateKey);
  const { fetches } = issuer;
  for (let i = 0; i < 50; i++) assert.equal(await verdict(t, await madeUp(i)), 'unauthorized');
  assert.equal(issuer.fetches, fetches + 2, 'discovery and keys');
  await issuer.rotate();
  t.wait(5_001);
  assert.equal(await verdict(t, await issuer.token({})), 'ok');
});

test('a published key that cannot be used refuses its tokens, and no others', async () => {
  await using issuer = await startTokenIssuer();
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const weak = { kty: 'RSA', alg: 'RS256', kid: 'weak', n: 'AQAB', e: 'AQAB' };
  const broken = { kty: 'EC', alg: 'ES256', kid: 'broken', crv: 'P-256', x: 'AAAA', y: 'AAAA' };
  issuer.keys = [...issuer.keys, weak, broken, { kty: 'oct', kid: 'oct', k: 'AAAA' }];
  const t = tokensOf(issuer);
  for (const kid of ['weak', 'oct'])
    assert.equal(
      await verdict(
        t,
        await new SignJWT({ iss: issuer.url, exp: soon(60) })
          .setProtectedHeader({ alg: 'RS256', kid })
          .sign(privateKey),
      ),
      'unauthorized',
      kid,
    );
  const { privateKey: elliptic } = await generateKeyPair('ES256');
  const token = new SignJWT({ iss: issuer.url, exp: soon(60) }).setProtectedHeader({
    alg: 'ES256',
    kid: 'broken',
  });
  assert.equal(await verdict(t, await token.sign(elliptic)), 'unauthorized');
  assert.equal(await verdict(t, await issuer.token({})), 'ok');
  assert.ok(await importJWK(await exportJWK(publicKey), 'RS256'));
});

test('an issuer that hangs holds up its own callers alone', async () => {
  await using slow = await startTokenIssuer();
  await using quick = await startTokenIssuer();
  const t = tokensOf(slow, quick);
  const release = slow.hang();
  const waiting = Array.from({ length: 256 }, async (_, i) => verdict(t, await slow.token({ sub: `${i}` })));
  await waitFor(() => slow.fetches > 0, { what: 'the slow issuer is asked' });
  await waitFor(async () => (await verdict(t, await slow.token({ sub: 'more' }))) === 'too-busy', {
    what: 'no more callers of it may wait',
  });
  assert.equal(await verdict(t, await quick.token({ sub: 'ann' })), 'ok');
  release();
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['ok']));
});

test('what a token says of its caller is text of a bounded length, and what it says itself', async () => {
  await using issuer = await startTokenIssuer();
  const { tokens } = tokensOf(issuer);
  const jwt: JwtSpec = {
    issuer: issuer.url,
    audience: '',
    requiredClaims: {},
    forwardClaims: ['email', 'constructor', '__proto__'],
  };
  const enter = async (claims: Record<string, unknown>): Promise<unknown> => {
    const headers = ['Authorization', `Bearer ${await issuer.token(claims)}`];
    const credentials = { tokens, keys: undefined, now: () => 0 };
    return Promise.resolve(identify({ jwt, apiKeys: [] }, headers, credentials)).then(
      ({ added }) => added,
      (error: { code: string }) => error.code,
    );
  };
  assert.deepEqual(await enter({ sub: 'ann\r\nX: y' }), [
    'SlimFaas-Caller',
    'ann%0D%0AX: y',
    'SlimFaas-Caller-Kind',
    'jwt',
  ]);
  for (const sub of [7, {}, ['ann'], null, true]) assert.equal(await enter({ sub }), 'unauthorized');
  assert.equal(await enter({ sub: 'x'.repeat(5_000) }), 'forbidden');
  assert.equal(await enter({ email: 'x'.repeat(5_000) }), 'forbidden');
});
