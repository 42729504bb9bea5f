/** Who may call, by API key and by token, on every way; whoever may not wakes nothing. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UnsecuredJWT } from 'jose';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { CallerTokens } from '../../../proxy/callers/tokens.ts';
import { waitFor } from '../../helpers/wait.ts';
import { callUrl, rawCall } from '../support/calls.ts';
import { startJobProxy } from '../support/job-proxy.ts';
import { startTestProxy } from '../support/test-proxy.ts';
import { collectWakes } from '../support/wakes.ts';
import { h2Client } from '../http2/h2-client.ts';
import { startTokenIssuer } from './token-issuer.ts';

const AUTH = 'slimfaas.dev/auth';
const ECHO = {
  run: (req: { rawHeaders: string[] }, res: { end(text: string): void }) =>
    res.end(JSON.stringify(req.rawHeaders)),
};

async function keyFolder(keys: Record<string, string>): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'keys-'));
  for (const [name, text] of Object.entries(keys)) await writeFile(join(path, name), text);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

test('without credentials: 401 on every way, and nothing is woken, stored or counted as activity', async () => {
  await using t = await startJobProxy();
  t.proxy.addFunction('fib', { 'SlimFaas/SubscribeEvents': 'paid', [AUTH]: '{"ApiKeys":["*"]}' });
  t.proxy.addFunction('other');
  const { url, port, metricsUrl } = t.proxy;
  for (const name of ['fib', 'other'])
    await waitFor(async () => (await callUrl(`${url}/status-function/${name}`)).status === 200, {
      what: name,
    });
  const wakes = collectWakes(t.proxy, 'fib');
  const others = collectWakes(t.proxy, 'other');
  for (const path of ['function/fib/', 'async-function/fib/', 'publish-event/paid/', 'wake-function/fib']) {
    const answer = await callUrl(`${url}/${path}`, {
      method: 'POST',
      body: 'x',
      headers: { 'X-Api-Key': 'guess' },
    });
    assert.equal(answer.status, 401, path);
    assert.equal(answer.headers['slimfaas-reason'], 'unauthorized', path);
    assert.equal(answer.headers['www-authenticate'], 'ApiKey realm="slimfaas"', path);
  }
  assert.equal((await callUrl(`${url}/async-function-job/fib/1`)).status, 401);
  const upgrade = 'GET /function/fib/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';
  assert.match(await rawCall(port, upgrade), /^HTTP\/1.1 401 [\s\S]*WWW-Authenticate: ApiKey/);
  using h2 = h2Client(url);
  assert.equal((await h2.call('/function/fib/')).status, 401);
  const grpc = { 'content-type': 'application/grpc', 'slimfaas-function': 'fib', te: 'trailers' };
  assert.equal((await h2.call('/a.B/C', { headers: grpc, body: '' })).headers['grpc-status'], '16');
  await callUrl(`${url}/wake-functions`, { method: 'POST' });
  await waitFor(() => others.length === 1, { what: 'the function that asks nobody is woken' });
  assert.equal(wakes.length, 0);
  assert.equal(await t.depth(), 0);
  assert.doesNotMatch(
    await (await fetch(`${metricsUrl}/metrics`)).text(),
    /proxy_requests_total\{[^}]*"fib"/,
  );
});

test('API keys: by name, with a rate; the function learns the name and never the key', async () => {
  await using keys = await keyFolder({
    'team-a': sha256('aaa'),
    'team-b': `${sha256('bbb')} rate=0.01 burst=1`,
    bad: 'x',
    'no-rate': `${sha256('zzz')} rate=0`,
    'no-burst': `${sha256('yyy')} rate=1 burst=0`,
  });
  await using t = await startTestProxy([`--api-keys=${keys.path}`]);
  t.addFunction('fib', { [AUTH]: '{"ApiKeys":["team-a"]}' });
  t.addFunction('any', { [AUTH]: '{"ApiKeys":["*"]}' });
  for (const name of ['fib', 'any']) await t.addPod(name, ECHO as never);
  for (const name of ['fib', 'any']) await t.readyPods(name, 1);
  const call = (name: string, key: string) =>
    callUrl(`${t.url}/function/${name}/`, {
      headers: { 'X-Api-Key': key, 'SlimFaas-Caller': 'forged', SlimFaas_Caller: 'forged' },
    });
  const good = await call('fib', 'aaa');
  assert.equal(good.status, 200);
  const seen = JSON.parse(good.text) as string[];
  assert.equal(seen[seen.indexOf('SlimFaas-Caller') + 1], 'team-a');
  assert.ok(!seen.includes('aaa') && !seen.includes('forged'));
  assert.equal((await call('fib', 'aab')).status, 401);
  assert.equal((await call('fib', 'x')).status, 401, 'a file in another form is no key');
  assert.equal((await call('fib', 'bbb')).status, 403, 'another team');
  assert.deepEqual([(await call('any', 'bbb')).status, (await call('any', 'bbb')).status], [200, 429]);
  assert.equal((await call('any', 'aaa')).status, 200);
  for (const key of ['zzz', 'yyy'])
    assert.equal((await call('any', key)).status, 401, 'a rate of 0 lets nobody in');
});

test('an event tells nobody the credentials that its publisher has shown', async () => {
  await using keys = await keyFolder({ 'team-a': sha256('the-key') });
  await using t = await startJobProxy([`--api-keys=${keys.path}`]);
  t.proxy.addFunction('asks', { 'SlimFaas/SubscribeEvents': 'paid', [AUTH]: '{"ApiKeys":["*"]}' });
  t.proxy.addFunction('open', { 'SlimFaas/SubscribeEvents': 'paid' });
  for (const name of ['asks', 'open'])
    await waitFor(async () => (await callUrl(`${t.proxy.url}/status-function/${name}`)).status === 200, {
      what: name,
    });
  const headers = { 'X-Api-Key': 'the-key', Authorization: 'Bearer the-token', 'X-Other': 'kept' };
  const published = await callUrl(`${t.proxy.url}/publish-event/paid/`, {
    method: 'POST',
    body: 'x',
    headers,
  });
  assert.equal(published.status, 204, published.text);
  for (const name of ['asks', 'open']) {
    const last_by_subj = functionSubject('job', { namespace: 'default', name });
    const { data, header } = await t.jsm.streams.getMessage(JOBS_STREAM, { last_by_subj });
    const text = Buffer.concat([data, String(header)].map((part) => Buffer.from(part))).toString('latin1');
    assert.match(text, /kept/);
    assert.doesNotMatch(text, /the-key|the-token/, name);
  }
});

test('tokens: issuer, audience, claims, expiry and signature; claims reach the function', async () => {
  await using issuer = await startTokenIssuer();
  await using t = await startTestProxy([`--jwt-issuers=${issuer.url}`]);
  const jwt = {
    Issuer: issuer.url,
    Audience: 'shop',
    RequiredClaims: { scope: 'orders' },
    ForwardClaims: ['preferred_username', 'sub'],
  };
  t.addFunction('fib', { [AUTH]: JSON.stringify({ Jwt: jwt }) });
  await t.addPod('fib', ECHO as never);
  await t.readyPods('fib', 1);
  const call = async (token: string) => callUrl(`${t.url}/function/fib/`, { headers: bearer(token) });
  const claims = { aud: ['x', 'shop'], scope: 'read orders', sub: 'ann', preferred_username: 'Ann Müller' };
  const token = await issuer.token(claims);
  for (let i = 0; i < 3; i++) assert.equal((await call(token)).status, 200);
  assert.equal(issuer.fetches, 2, 'discovery and keys, once');
  const seen = JSON.parse((await call(token)).text) as string[];
  assert.equal(seen[seen.indexOf('SlimFaas-Caller') + 1], 'ann');
  assert.equal(seen[seen.indexOf('SlimFaas-Claim-preferred-username') + 1], 'Ann M%C3%BCller');
  assert.ok(!seen.some((text) => text.includes(token)), 'the token stays here');
  const refused: [string, number][] = [
    [await issuer.token({ ...claims, aud: 'other' }), 401],
    [await issuer.token({ ...claims, scope: 'read' }), 403],
    [await issuer.token(claims, '-1m'), 401],
    [await issuer.token({ ...claims, iss: 'https://evil.example' }), 401],
    [`${token.slice(0, -6)}AAAAAA`, 401],
    [new UnsecuredJWT({ ...claims, iss: issuer.url }).setExpirationTime('5m').encode(), 401],
    ['nonsense', 401],
  ];
  for (const [bad, status] of refused) {
    const answer = await call(bad);
    assert.equal(answer.status, status, `${answer.status} ${answer.text}`);
    if (status === 401)
      assert.match(
        answer.headers['www-authenticate'] ?? '',
        /^Bearer realm="slimfaas", error="invalid_token"/,
      );
  }
  using h2 = h2Client(t.url);
  assert.equal(
    (await h2.call('/function/fib/', { headers: { authorization: `Bearer ${token}` } })).status,
    200,
  );
});

test('an issuer that is away: 503 without keys; a token seen before and keys read before are good', async () => {
  await using issuer = await startTokenIssuer();
  issuer.isDown = true;
  await using t = await startTestProxy([`--jwt-issuers=${issuer.url}=${issuer.url}/keys`]);
  t.addFunction('fib', { [AUTH]: JSON.stringify({ Jwt: { Issuer: issuer.url } }) });
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  const call = async (at: string) =>
    callUrl(`${at}/function/fib/`, { headers: bearer(await issuer.token({})) });
  const down = await call(t.url);
  assert.equal(down.status, 503);
  assert.equal(down.headers['slimfaas-reason'], 'auth-unavailable');
  assert.ok(Number(down.headers['retry-after']) > 0);
  issuer.isDown = false;
  const second = await t.another();
  assert.equal((await call(second.url)).status, 200);
  issuer.isDown = true;
  assert.equal((await call(second.url)).status, 200, 'another token, by the keys that are known');
});

test('what cannot be read lets nobody in', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { [AUTH]: '{"ApiKeyz":["*"]}' });
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  assert.equal((await callUrl(`${t.url}/function/fib/`)).status, 401);
  t.addFunction('blank', { [AUTH]: ' ' });
  await t.addPod('blank');
  await t.readyPods('blank', 1);
  assert.equal((await callUrl(`${t.url}/function/blank/`)).status, 401, 'an empty value of a template too');
});

test('a token is remembered for ten minutes: then its issuer’s keys of the moment must have signed it', async () => {
  await using issuer = await startTokenIssuer();
  const startedMs = Date.now();
  let nowMs = startedMs;
  const deps = {
    resolve: async () => ['127.0.0.1'],
    now: () => nowMs,
    onError: () => undefined,
    maxBytes: 65_536,
  };
  const tokens = new CallerTokens([issuer.url], [], deps);
  const token = await issuer.token({ sub: 'a' }, '48h');
  assert.equal((await tokens.verify(token)).sub, 'a');
  await issuer.rotate();
  assert.ok(!(tokens.verify(token) instanceof Promise), 'it costs no signature');
  nowMs += 600_001;
  // First by the keys that are known, which are read again meanwhile; then by the new ones.
  let refusal: unknown;
  const isRefused = async (): Promise<boolean> => {
    nowMs += 600_001;
    refusal = await Promise.resolve(tokens.verify(token)).then(
      () => undefined,
      (error: unknown) => error,
    );
    return refusal !== undefined;
  };
  assert.equal(await isRefused(), false);
  await waitFor(isRefused, { what: 'the keys were read again', intervalMs: 50 });
  assert.match(String(refusal), /signed|key/);
  assert.ok(nowMs < startedMs + 86_400_000, 'before the token ends');
});

test('tokens that are remembered have a bound in bytes', async () => {
  await using issuer = await startTokenIssuer();
  await using t = await startTestProxy([`--jwt-issuers=${issuer.url}`, '--token-bytes=65536']);
  t.addFunction('fib', { [AUTH]: JSON.stringify({ Jwt: { Issuer: issuer.url } }) });
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  for (let i = 0; i < 120; i++) {
    const headers = bearer(await issuer.token({ sub: `caller ${i}` }));
    assert.equal((await callUrl(`${t.url}/function/fib/`, { headers })).status, 200);
  }
  const metrics = await (await fetch(`${t.metricsUrl}/metrics`)).text();
  const bytes = Number(/^slimfaas_proxy_token_bytes (\d+)$/m.exec(metrics)?.[1]);
  assert.ok(bytes > 60_000 && bytes <= 65_536, String(bytes));
});
