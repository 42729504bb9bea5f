/** How a pod's first `ready` reaches a proxy: by the address at hand, and by name when that is no more. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { CallsFirst } from '../../../sidecar/life/calls-first.ts';
import { tellProxy, type ProxyPlace } from '../../../sidecar/life/ready-by-http.ts';
import { ownAddress } from '../../helpers/addresses.ts';

const ID = { namespace: 'ns', name: 'fn' };
const MESSAGE = Buffer.from('{}');

/** Answers with a status, or never, and notes what came. */
async function serve(t: TestContext, host: string, port: number, status?: number) {
  const paths: string[] = [];
  const listener: RequestListener = (req, res) => {
    paths.push(`${req.method} ${req.url}`);
    if (status !== undefined) res.writeHead(status).end();
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { paths, port: (server.address() as AddressInfo).port };
}

const POST = 'POST /pod-ready/ns/fn';
const isTaken = async (place: ProxyPlace) => (await tellProxy(place, ID, MESSAGE)).isTaken;

test('the address is asked alone while it answers', async (t) => {
  const address = ownAddress();
  const proxy = await serve(t, address, 0, 204);
  const named = await serve(t, '127.0.0.1', proxy.port, 204);
  assert.equal(await isTaken({ url: `http://127.0.0.1:${proxy.port}`, address }), true);
  assert.deepEqual([proxy.paths, named.paths], [[POST], []]);
});

test('a Service that was made again is found by its name', async (t) => {
  const proxy = await serve(t, '127.0.0.1', 0, 204);
  const { port } = proxy;
  const place = { url: `http://localhost:${port}`, address: ownAddress() };
  assert.equal(await isTaken(place), true, 'nobody listens at the address');
  const silent = await serve(t, place.address, port);
  assert.equal(await isTaken(place), true, 'the address is silent');
  assert.equal(silent.paths.length, 1);
  const stranger = ownAddress();
  await serve(t, stranger, port, 405);
  assert.equal(await isTaken({ ...place, address: stranger }), true, 'somebody else has it');
  assert.deepEqual(proxy.paths, [POST, POST, POST]);
});

test('a pod that cannot resolve names tells by the address', async (t) => {
  const address = ownAddress();
  const proxy = await serve(t, address, 0, 204);
  const place = { url: `http://proxy.invalid:${proxy.port}`, address };
  assert.equal(await isTaken(place), true);
});

test('what is no address, and what is no URL, is as none', async (t) => {
  const proxy = await serve(t, '127.0.0.1', 0, 204);
  const url = `http://127.0.0.1:${proxy.port}`;
  assert.equal(await isTaken({ url, address: '$(SLIMFAAS_PROXY_SERVICE_HOST)' }), true);
  assert.equal(await isTaken({ url: 'http://$(HOST):$(PORT)' }), false);
});

test('a proxy that knows better is not asked again, one that does not know the pod yet is', async (t) => {
  const refusing = await serve(t, '127.0.0.1', 0, 403);
  assert.equal(await isTaken({ url: `http://127.0.0.1:${refusing.port}` }), false);
  assert.equal(refusing.paths.length, 1);
  const unknowing = await serve(t, '127.0.0.1', 0, 404);
  assert.equal(await isTaken({ url: `http://127.0.0.1:${unknowing.port}` }), false);
  assert.equal(unknowing.paths.length, 4);
});

test('an older proxy, which has no `starting`, is asked once, and the rest goes on', async (t) => {
  const older = await serve(t, '127.0.0.1', 0, 400);
  const told = await tellProxy({ url: `http://127.0.0.1:${older.port}` }, ID, MESSAGE);
  assert.deepEqual(told, { isTaken: false });
  assert.equal(older.paths.length, 1);
  const inFlight = { count: 0, ended: () => new Promise<void>(() => undefined) };
  // Its own bound of half a second never comes here.
  const pause = (ms: number) => (ms < 100 ? Promise.resolve() : new Promise<void>(() => undefined));
  await new CallsFirst({ inFlight, ask: async () => told, pause }).over;
});

test('what the proxy says of callers is heard, and a proxy of before says nothing of them', async (t) => {
  const saying = createServer((_req, res) => res.writeHead(204, { 'slimfaas-callers': '3' }).end());
  await new Promise<void>((resolve) => saying.listen(0, '127.0.0.1', resolve));
  t.after(() => saying.close());
  const { port } = saying.address() as AddressInfo;
  assert.equal((await tellProxy({ url: `http://127.0.0.1:${port}` }, ID, MESSAGE)).callers, 3);
  const older = await serve(t, '127.0.0.1', 0, 204);
  const told = await tellProxy({ url: `http://127.0.0.1:${older.port}` }, ID, MESSAGE);
  assert.deepEqual(told, { isTaken: true, callers: undefined });
});
