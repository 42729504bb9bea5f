/** CORS: preflights are answered by the proxy, wake nothing and need no credentials; answers carry one policy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import { readCorsFlags } from '../../../proxy/callers/caller-flags.ts';
import { proxyFlags } from '../../../proxy/flags.ts';
import { CLOSED_CORS } from '../../../common/function/annotations/callers/cors.ts';
import { CorsPolicy } from '../../../proxy/callers/cors.ts';
import { waitFor } from '../../helpers/wait.ts';
import { h2Client } from '../http2/h2-client.ts';
import { callUrl, rawCall, startCall } from '../support/calls.ts';
import { startJobProxy } from '../support/job-proxy.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { collectWakes } from '../support/wakes.ts';

const CORS = 'slimfaas.dev/cors';
const SHOP = 'https://shop.example';
const asks = (origin: string, more: Record<string, string> = {}) => ({
  method: 'OPTIONS',
  headers: { Origin: origin, 'Access-Control-Request-Method': 'PUT', ...more },
});

async function known(t: TestProxy, ...names: string[]): Promise<void> {
  for (const name of names)
    await waitFor(async () => (await callUrl(`${t.url}/status-function/${name}`)).status === 200, {
      what: name,
    });
}

test('a preflight needs no credentials, wakes nothing and says what the annotation says, on every way', async () => {
  await using t = await startJobProxy();
  const policy = `{"Origins":["${SHOP}"],"Methods":["PUT","GET"],"Headers":["X-One"],"Credentials":true,"MaxAge":600}`;
  t.proxy.addFunction('fib', {
    [CORS]: policy,
    'slimfaas.dev/auth': '{"ApiKeys":["*"]}',
    'slimfaas.dev/rate-limit': '{"PerFunction":{"Rate":0.01,"Burst":1}}',
  });
  t.proxy.addFunction('other');
  await known(t.proxy, 'fib', 'other');
  const { url, metricsUrl } = t.proxy;
  const wakes = collectWakes(t.proxy, 'fib');
  const others = collectWakes(t.proxy, 'other');
  const headers = asks(SHOP, { 'Access-Control-Request-Headers': 'x-one, x-two' });
  const ways = ['function/fib/a', 'async-function/fib/a', 'wake-function/fib', 'status-function/fib'];
  for (const way of [...ways, 'async-function-job/fib/1']) {
    const { status, headers: said, text } = await callUrl(`${url}/${way}`, headers);
    assert.deepEqual([status, text], [204, ''], way);
    assert.equal(said['access-control-allow-origin'], SHOP);
    assert.equal(said['access-control-allow-credentials'], 'true');
    assert.equal(said['access-control-allow-methods'], 'PUT, GET');
    assert.equal(said['access-control-allow-headers'], 'X-One');
    assert.equal(said['access-control-max-age'], '600');
    assert.match(said['vary'] ?? '', /^Origin, /);
    const refused = await callUrl(`${url}/${way}`, asks('https://evil.example'));
    assert.equal(refused.status, 403, way);
    assert.match(
      refused.text,
      /scripts of \\"https:\/\/evil.example\\" may not call this \(slimfaas.dev\/cors\)/,
    );
    assert.equal(refused.headers['access-control-allow-origin'], undefined);
    assert.equal(refused.headers['vary'], 'Origin');
  }
  using h2 = h2Client(url);
  const h2Ask = { method: 'OPTIONS', headers: { origin: SHOP, 'access-control-request-method': 'PUT' } };
  for (const way of ways) {
    const answer = await h2.call(`/${way}`, h2Ask);
    assert.equal(answer.status, 204, way);
    assert.equal(answer.headers['access-control-allow-origin'], SHOP, way);
  }
  assert.equal(
    (await h2.call('/function/fib/', { ...h2Ask, headers: { ...h2Ask.headers, origin: 'x://y' } })).status,
    403,
  );
  // A refusal can be read by the script too.
  const closed = await callUrl(`${url}/function/fib/a`, { headers: { Origin: SHOP } });
  assert.equal(closed.status, 401);
  assert.equal(closed.headers['access-control-allow-origin'], SHOP);
  assert.match(closed.headers['access-control-expose-headers'] as string, /SlimFaas-Reason/);
  assert.equal(
    (await h2.call('/function/fib/', { headers: { origin: SHOP } })).headers['access-control-allow-origin'],
    SHOP,
  );
  await callUrl(`${url}/wake-function/other`);
  await waitFor(() => others.length === 1, { what: 'the other function is woken' });
  assert.equal(wakes.length, 0);
  assert.equal(await t.depth(), 0);
  assert.doesNotMatch(
    await (await fetch(`${metricsUrl}/metrics`)).text(),
    /proxy_requests_total\{[^}]*"fib"/,
  );
});

test('the policy alone decides; without one the app does, preflights included', async () => {
  await using t = await startTestProxy();
  const run = (
    _req: unknown,
    res: { writeHead(status: number, headers: string[]): { end(text: string): void } },
  ) =>
    res
      .writeHead(200, [
        'Access-Control-Allow-Origin',
        'https://app.example',
        'Access-Control-Max-Age',
        '5',
        'Vary',
        'Accept, Origin',
      ])
      .end('app');
  for (const [name, annotations] of [
    ['own', { [CORS]: `https://*.shop.example, ${SHOP}` }],
    ['any', { [CORS]: '*' }],
    ['free', {}],
  ] as const) {
    t.addFunction(name, annotations);
    await t.addPod(name, { run });
    await t.readyPods(name, 1);
  }
  const raw = async (name: string, origin: string) => {
    const call = startCall(`${t.url}/function/${name}/`, { headers: { Origin: origin } });
    const [response] = (await once(call, 'response')) as [{ rawHeaders: string[]; resume(): void }];
    response.resume();
    const { rawHeaders } = response;
    return rawHeaders
      .flatMap((header, i) =>
        i % 2 === 0 && /^(access-control|vary)/i.test(header) ? [`${header}: ${rawHeaders[i + 1]}`] : [],
      )
      .filter((line) => !line.startsWith('Access-Control-Expose'));
  };
  const VARY = 'Vary: Accept, Origin';
  assert.deepEqual(await raw('own', SHOP), [VARY, `Access-Control-Allow-Origin: ${SHOP}`]);
  assert.deepEqual(await raw('own', 'https://a.shop.example'), [
    VARY,
    'Access-Control-Allow-Origin: https://a.shop.example',
  ]);
  for (const other of [
    'https://shop.example.evil',
    'https://ashop.example',
    'http://a.shop.example',
    'https://shop.example:8443',
    'https://evil/.shop.example',
    'null',
  ])
    assert.deepEqual(await raw('own', other), [VARY], other);
  assert.deepEqual(await raw('any', SHOP), [VARY, 'Access-Control-Allow-Origin: *']);
  assert.deepEqual(await raw('free', SHOP), [
    'Access-Control-Allow-Origin: https://app.example',
    'Access-Control-Max-Age: 5',
    VARY,
  ]);
  const passed = await callUrl(`${t.url}/function/free/`, asks(SHOP));
  assert.deepEqual([passed.status, passed.text], [200, 'app']);
  // An OPTIONS that is no preflight is the app's.
  assert.equal((await callUrl(`${t.url}/function/any/`, { method: 'OPTIONS' })).text, 'app');
  using h2 = h2Client(t.url);
  const overH2 = await h2.call('/function/own/', { headers: { origin: SHOP } });
  assert.equal(overH2.headers['access-control-allow-origin'], SHOP);
  assert.equal(overH2.headers['access-control-max-age'], undefined);
  // A malformed preflight gets no further than any other request.
  const twice =
    'OPTIONS /status-functions HTTP/1.1\r\nHost: a\r\nHost: b\r\nOrigin: x\r\nAccess-Control-Request-Method: PUT\r\n\r\n';
  assert.match(await rawCall(t.port, twice), /^HTTP\/1.1 400 /);
});

test("SlimFaas's default by flag: functions, events, the status and what does not exist; none takes it away", async () => {
  await using t = await startTestProxy(['--cors-allow-origin=*']);
  t.addFunction('fib', { 'SlimFaas/SubscribeEvents': 'paid' });
  t.addFunction('secret', { 'SlimFaas/DefaultVisibility': 'Private', [CORS]: SHOP });
  t.addFunction('own', { [CORS]: 'none' });
  await t.addPod('own');
  await known(t, 'fib');
  await t.readyPods('own', 1);
  const ways = [
    'function/fib/',
    'publish-event/paid/',
    'status-functions',
    'status-functions-stream',
    'status-function/fib',
    'wake-function/fib',
  ];
  for (const way of ways) {
    const { status, headers } = await callUrl(
      `${t.url}/${way}`,
      asks(SHOP, { 'Access-Control-Request-Headers': 'authorization' }),
    );
    assert.equal(status, 204, way);
    assert.equal(headers['access-control-allow-origin'], '*', way);
    assert.equal(headers['access-control-allow-methods'], 'PUT', way);
    assert.equal(headers['access-control-allow-headers'], 'authorization', way);
  }
  const list = await callUrl(`${t.url}/status-functions`, { headers: { Origin: SHOP } });
  assert.equal(list.headers['access-control-allow-origin'], '*');
  // A private function is to a browser what does not exist.
  for (const name of ['secret', 'nothing']) {
    const { status, headers } = await callUrl(`${t.url}/function/${name}/`, asks(SHOP));
    assert.equal(status, 404, name);
    assert.equal(headers['access-control-allow-origin'], '*', name);
    const job = await callUrl(`${t.url}/async-function/${name}/`, {
      method: 'POST',
      headers: { Origin: SHOP },
      body: '',
    });
    assert.equal(job.headers['access-control-allow-origin'], '*', name);
  }
  const plain = await callUrl(`${t.url}/function/own/`, { headers: { Origin: SHOP } });
  assert.equal(plain.headers['access-control-allow-origin'], undefined);
});

test('flags that cannot be used are errors that name the flag', () => {
  const read = (...args: string[]) => readCorsFlags(readFlags(proxyFlags, args, {}));
  assert.equal(read(), undefined);
  assert.deepEqual(readCorsFlags(readFlags(proxyFlags, [], { SLIMFAAS_CORS_ALLOW_ORIGIN: '*' }))?.origins, [
    '*',
  ]);
  for (const [args, problem] of [
    [
      ['--cors-allow-origin=shop.example'],
      /^--cors-allow-origin: shop.example: not allowed; allowed: origins like/,
    ],
    [['--cors-allow-origin=*', '--cors-allow-credentials'], /^--cors-allow-credentials: .*name the origins$/],
    [['--cors-allow-origin=*', '--cors-allow-headers=a b'], /^--cors-allow-headers: "a b" is not allowed/],
  ] as const)
    assert.throws(
      () => read(...args),
      (error) => error instanceof UsageError && problem.test(error.message),
    );
});

test('what a preflight asks for is said again only where it is a list of names, and costs little to read', () => {
  const policy = new CorsPolicy({ ...CLOSED_CORS, origins: ['*'] }, 'here');
  const said = (
    method: string | string[],
    headers: string | string[] | undefined,
  ): (string | undefined)[] => {
    const fields = policy.preflight({
      origin: SHOP,
      'access-control-request-method': method,
      'access-control-request-headers': headers,
    });
    const valueOf = (name: string) => (fields.includes(name) ? fields[fields.indexOf(name) + 1] : undefined);
    return [valueOf('Access-Control-Allow-Methods'), valueOf('Access-Control-Allow-Headers')];
  };
  assert.deepEqual(said('PUT', 'x-a,x-b , x-c'), ['PUT', 'x-a,x-b , x-c']);
  for (const odd of ['', ' ', 'a,,b', ',a', 'a;b', 'a\r\nSet-Cookie: x', 'a b', 'é', '"a"', ['a', 'b']])
    assert.deepEqual(said(odd, odd), ['*', undefined], JSON.stringify(odd));
  for (const long of [`a${' '.repeat(60_000)}b`, `${'a, '.repeat(20_000)};`, `${'a'.repeat(60_000)};`])
    assert.deepEqual(said('PUT', long), ['PUT', undefined]);
});
