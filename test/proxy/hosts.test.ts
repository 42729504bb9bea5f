/** A function called by the host that it claims: HTTP/1.1, HTTP/2 and upgrades at the proxy's own port. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { callUrl } from './support/calls.ts';
import { h2Client } from './http2/h2-client.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';

const HOST = 'shop.example.com';

async function startShop(annotations: Record<string, string> = {}): Promise<TestProxy> {
  const t = await startTestProxy(['--function-hosts=*.example.com']);
  t.addFunction('shop', { 'slimfaas.dev/hosts': `${HOST}, *.shop.example.com`, ...annotations });
  await t.addPod('shop', {
    run: (req, res) =>
      res.end(JSON.stringify([req.url, req.headers.host, req.headers['x-forwarded-prefix'] ?? ''])),
  });
  await t.readyPods('shop', 1);
  return t;
}

test('path, query and Host reach it as they were written; by its name its prefix is told', async () => {
  await using t = await startShop();
  const call = async (path: string, headers: Record<string, string>) =>
    JSON.parse((await callUrl(t.url + path, { headers })).text) as string[];
  assert.deepEqual(await call('/a%2Fb?c', { Host: HOST }), ['/a%2Fb?c', HOST, '']);
  assert.deepEqual(await call('/health', { Host: `eu.${HOST}:80` }), ['/health', `eu.${HOST}:80`, '']);
  const own = await call('/function/other/x', { Host: HOST });
  assert.equal(own[0], '/function/other/x', 'all of its host is its own');
  assert.deepEqual(await call('/function/shop/x', { Host: 'h' }), ['/x', 'h', '/function/shop']);
  const behind = await call('/function/shop/x', { Host: 'h', 'X-Forwarded-Prefix': '/team/' });
  assert.equal(behind[2], '/team/function/shop');
});

test('HTTP/2 by :authority, gRPC without metadata, and upgrades', async () => {
  await using t = await startShop();
  using client = h2Client(t.url);
  const answer = await client.call('/x', { headers: { ':authority': HOST } });
  assert.equal((JSON.parse(answer.text) as string[])[0], '/x');
  const grpc = { ':authority': HOST, 'content-type': 'application/grpc', te: 'trailers' };
  const called = await client.call('/pkg.Service/Method', { headers: grpc });
  assert.equal((JSON.parse(called.text) as string[])[0], '/pkg.Service/Method');
  t.addFunction('chat', { 'slimfaas.dev/hosts': 'chat.example.com' });
  const pod = await t.addPod('chat', { limit: 1 });
  const sockets = new WebSocketServer({ noServer: true });
  let path: string | undefined;
  pod.onUpgrade((req, socket, head) => {
    path = req.url;
    sockets.handleUpgrade(req, socket, head, (ws) => ws.send('hello'));
  });
  await t.readyPods('chat', 1);
  const ws = new WebSocket(`${t.url.replace('http', 'ws')}/room?1`, {
    headers: { Host: 'chat.example.com' },
  });
  assert.equal(String((await once(ws, 'message'))[0]), 'hello');
  assert.equal(path, '/room?1');
  ws.terminate();
});

test('a private path of a host is unknown to outsiders, and nothing is told of the function', async () => {
  await using t = await startShop({ 'SlimFaas/PathsStartWithVisibility': 'Private:/admin' });
  assert.equal((await callUrl(`${t.url}/open`, { headers: { Host: HOST } })).status, 200);
  const refused = await callUrl(`${t.url}/admin`, { headers: { Host: HOST } });
  assert.deepEqual([refused.status, refused.headers['slimfaas-reason']], [404, 'unknown-function']);
  assert.doesNotMatch(refused.text, /shop\b(?!\.example)/);
});

test('a host that may not be claimed, or that nobody claims, leads to the proxy’s own routes', async () => {
  await using t = await startTestProxy(['--function-hosts=other=shop.example.com']);
  t.addFunction('shop', { 'slimfaas.dev/hosts': HOST });
  await t.addPod('shop');
  await t.readyPods('shop', 1);
  const answer = await callUrl(`${t.url}/health`, { headers: { Host: HOST } });
  assert.deepEqual(JSON.parse(answer.text), { status: 'ok' });
});
