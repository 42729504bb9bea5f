/** Keys of issuers and remembered tokens: where they may come from, how long they hold, and their bound. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UrlAllow } from '../../../common/outbound/allow.ts';
import { Jwks } from '../../../proxy/callers/jwks.ts';
import { CallerTokens } from '../../../proxy/callers/tokens.ts';
import { startTokenIssuer } from './token-issuer.ts';

const never = async (): Promise<string[]> => ['10.0.0.7'];

test('keys come from hosts that the operator named, on public addresses or by a written port', async () => {
  const said: string[] = [];
  const onError = (_issuer: string, error: unknown) => said.push(String(error));
  const deps = { resolve: never, now: () => 0, onError };
  for (const [issuer, why] of [
    ['https://issuer.example', /10\.0\.0\.7, which is private and not in --jwt-issuers/],
    ['http://169.254.169.254', /169\.254\.169\.254 is not in --jwt-issuers/],
  ] as const) {
    const allow = new UrlAllow(['issuer.example'], 'jwt-issuers');
    const keys = new Jwks(issuer, `${issuer}/keys`, (document) => document, { ...deps, allow });
    await assert.rejects(keys.keys(), { code: 'auth-unavailable' });
    assert.match(said.at(-1) ?? '', why);
  }
});

test('--jwt-issuers names what it does not take', () => {
  const deps = { resolve: never, now: () => 0, onError: () => undefined, maxBytes: 65_536 };
  assert.throws(
    () => new CallerTokens(['issuer.example'], [], deps),
    /--jwt-issuers: "issuer\.example" is not allowed/,
  );
});

test('keys that another check has read in the meantime are others than those that were used', async () => {
  await using issuer = await startTokenIssuer();
  let nowMs = 0;
  const allow = new UrlAllow([new URL(issuer.url).host], 'jwt-issuers');
  const deps = { resolve: async () => ['127.0.0.1'], now: () => nowMs, onError: () => undefined, allow };
  const jwks = new Jwks(issuer.url, undefined, (document) => document, deps);
  const used = await jwks.keys();
  await issuer.rotate();
  nowMs += 10_000;
  assert.equal(await jwks.refresh(used), true, 'one reads them');
  assert.equal(await jwks.refresh(used), true, 'another one had begun with those before');
  assert.equal(await jwks.refresh(await jwks.keys()), false, 'they are read once in 5 s');
  assert.equal(issuer.fetches, 4, 'two documents, twice');
});
