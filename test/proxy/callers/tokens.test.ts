/** Keys of issuers and remembered tokens: where they may come from, how long they hold, and their bound. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UrlAllow } from '../../../common/outbound/allow.ts';
import { Jwks } from '../../../proxy/callers/jwks.ts';
import { CallerTokens } from '../../../proxy/callers/tokens.ts';

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
