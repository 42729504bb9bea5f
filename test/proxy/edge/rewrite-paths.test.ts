/** `slimfaas.dev/rewrite-paths`: what an answer says of paths, seen from outside. */
import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { prefixPaths } from '../../../proxy/edge/path-rewrite.ts';
import { callUrl } from '../support/calls.ts';
import { h2Client } from '../http2/h2-client.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';

const HOSTS = ['Host', 'proxy.example:5000', 'X-Forwarded-Host', 'shop.example'];
const REQUEST = [...HOSTS, 'X-Forwarded-Prefix', '/api/function/shop'];

function rewritten(name: string, value: string): string | undefined {
  return prefixPaths([name, value], { prefix: '/function/shop', request: REQUEST })[1];
}

describe('Location', () => {
  const cases: readonly [given: string, seen: string][] = [
    ['/login?next=/a', '/function/shop/login?next=/a'],
    ['/', '/function/shop/'],
    ['/functional', '/function/shop/functional'],
    ['/function/shop', '/function/shop'],
    ['/function/shop/x', '/function/shop/x'],
    ['/function/shop?x', '/function/shop?x'],
    ['/api/function/shop/x', '/api/function/shop/x'],
    ['/api/x', '/function/shop/api/x'],
    ['/function/shopping', '/function/shop/function/shopping'],
    ['http://proxy.example:5000/a#b', 'http://proxy.example:5000/function/shop/a#b'],
    ['HTTPS://Shop.Example', 'HTTPS://Shop.Example/function/shop/'],
    ['http://proxy.example/a', 'http://proxy.example/a'],
    ['https://other.example/a', 'https://other.example/a'],
    ['http://proxy.example:5000//other/a', 'http://proxy.example:5000//other/a'],
    ['http://proxy.example:5000?a', 'http://proxy.example:5000?a'],
    ['http://proxy.example:5000@other/a', 'http://proxy.example:5000@other/a'],
    ['//other.example/a', '//other.example/a'],
    ['/\\other.example/a', '/\\other.example/a'],
    ['login', 'login'],
    ['../up', '../up'],
    ['', ''],
  ];
  for (const [given, seen] of cases)
    it(JSON.stringify(given), () => {
      assert.equal(rewritten('Location', given), seen);
      assert.equal(rewritten('content-location', given), seen);
    });
});

describe('Set-Cookie', () => {
  const cases: readonly [given: string, seen: string][] = [
    ['a=b; Path=/; Secure', 'a=b; Path=/function/shop; Secure'],
    ['a=b;path = /x ;HttpOnly', 'a=b;path = /function/shop/x;HttpOnly'],
    ['a=b; Path=/x; Path=/y', 'a=b; Path=/x; Path=/function/shop/y'],
    ['a=b; Path=/function/shop/x', 'a=b; Path=/function/shop/x'],
    ['a=b', 'a=b'],
    ['a=b; Path=', 'a=b; Path='],
    ['path=/x', 'path=/x'],
    ['__Host-a=b; Path=/; Secure', '__Host-a=b; Path=/; Secure'],
  ];
  for (const [given, seen] of cases)
    it(JSON.stringify(given), () => assert.equal(rewritten('Set-Cookie', given), seen));
});

test('other headers are the very same list', () => {
  const headers = ['Content-Type', 'text/html', 'Link', '</a>; rel=next'];
  assert.equal(prefixPaths(headers, { prefix: '/function/shop', request: REQUEST }), headers);
});

async function startShop(annotations: Record<string, string>): Promise<TestProxy> {
  const t = await startTestProxy(['--function-hosts=*']);
  t.addFunction('shop', { 'slimfaas.dev/hosts': 'shop.example', ...annotations });
  await t.addPod('shop', {
    run: (_req, res) => {
      res.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2; Path=/x']);
      res.writeHead(302, { Location: '/login' }).end();
    },
  });
  await t.readyPods('shop', 1);
  return t;
}

const ON = { 'slimfaas.dev/rewrite-paths': 'true' };

test('by its name, over HTTP/1.1 and HTTP/2; a host of its own needs none', async () => {
  await using t = await startShop(ON);
  const named = await callUrl(`${t.url}/function/shop/a`);
  assert.equal(named.headers.location, '/function/shop/login');
  assert.deepEqual(named.headers['set-cookie'], ['a=1; Path=/function/shop', 'b=2; Path=/function/shop/x']);
  using client = h2Client(t.url);
  const streamed = await client.call('/function/shop/a');
  assert.equal(streamed.headers['location'], '/function/shop/login');
  assert.deepEqual(streamed.headers['set-cookie'], named.headers['set-cookie']);
  const hosted = await callUrl(`${t.url}/a`, { headers: { Host: 'shop.example' } });
  assert.equal(hosted.headers.location, '/login');
});

test('without the annotation an answer stays as the app wrote it', async () => {
  await using t = await startShop({});
  assert.equal((await callUrl(`${t.url}/function/shop/a`)).headers.location, '/login');
});
