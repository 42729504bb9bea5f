/** A cluster of IPv6 addresses: the proxy listens on one, calls pods at theirs, and reaches NATS and the scaler. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { readFlags } from '../../common/runtime/flags.ts';
import { silentLog } from '../../common/runtime/log.ts';
import { createRegistry } from '../../common/runtime/metrics.ts';
import { openNatsLink } from '../../common/bus/nats.ts';
import { proxyFlags } from '../../proxy/flags.ts';
import { startProxy } from '../../proxy/start.ts';
import { startNats } from '../helpers/nats.ts';
import { waitFor } from '../helpers/wait.ts';
import { FakeKube } from './support/fake-kube.ts';

async function onLoopback(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '::1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

const FUNCTION = { 'SlimFaas/Function': 'true' };

function addFunction(kube: FakeKube, podPort: number): void {
  const spec = { replicas: 1, template: { metadata: { annotations: FUNCTION }, spec: { containers: [] } } };
  kube.set({ kind: 'Deployment', metadata: { name: 'six', namespace: 'default' }, spec, status: {} });
  kube.set({
    kind: 'Pod',
    metadata: {
      name: 'six-abc-1',
      namespace: 'default',
      labels: { 'pod-template-hash': 'abc' },
      annotations: FUNCTION,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'six-abc', uid: 'owner', controller: true },
      ],
    },
    spec: { containers: [{ name: 'app', ports: [{ containerPort: podPort }] }] },
    status: { phase: 'Running', podIP: '::1', conditions: [{ type: 'Ready', status: 'True' }] },
  });
}

/** A proxy whose every neighbour has an IPv6 address, written as Kubernetes' variables are put together. */
async function startOnIpv6(t: TestContext, { hasNats }: { hasNats: boolean }) {
  const nats = await startNats();
  const natsPort = await onLoopback(
    t,
    createServer((socket) => {
      const inner = connect(nats.port, nats.host);
      for (const each of [socket, inner]) {
        each.on('error', () => undefined);
        each.on('close', () => [socket, inner].forEach((other) => other.destroy()));
      }
      socket.pipe(inner).pipe(socket);
    }),
  );
  const woken: string[] = [];
  const scalerPort = await onLoopback(
    t,
    createHttpServer((req, res) => {
      woken.push(req.url ?? '');
      res.writeHead(204).end();
    }),
  );
  const kube = await FakeKube.start();
  const flags = [
    '--host=::1',
    '--port=0',
    '--metrics-port=0',
    '--lame-duck=0',
    '--drain-timeout=1',
    '--namespace=default',
  ];
  const servers = `nats://::1:${hasNats ? natsPort : 1}`;
  const config = readFlags(proxyFlags, [...flags, `--scaler-url=http://::1:${scalerPort}`], {});
  const link = openNatsLink({ servers, name: 'proxy', log: silentLog });
  const registry = createRegistry('proxy', '0');
  const proxy = await startProxy(config, { log: silentLog, kube: kube.clients, nats: link, registry });
  t.after(async () => {
    await proxy.stop();
    await link.stop();
    await kube[Symbol.asyncDispose]();
    await nats.stop();
  });
  return { kube, woken, url: `http://[::1]:${proxy.port}` };
}

test('listens on an IPv6 address, calls a pod at one, connects to NATS at one', async (t) => {
  const { kube, url } = await startOnIpv6(t, { hasNats: true });
  const podPort = await onLoopback(
    t,
    createHttpServer((req, res) => res.end(`${req.headers['x-forwarded-for']}`)),
  );
  await waitFor(async () => (await fetch(`${url}/ready`)).ok, { what: 'NATS and the watches are there' });
  addFunction(kube, podPort);
  const answer = await waitFor(
    async () => {
      const response = await fetch(`${url}/function/six/`);
      const body = await response.text();
      return response.ok ? body : undefined;
    },
    { what: 'the function answers' },
  );
  assert.equal(answer, '::1');
});

test('wakes by HTTP at an IPv6 address while NATS is away', async (t) => {
  const { kube, url, woken } = await startOnIpv6(t, { hasNats: false });
  addFunction(kube, 1);
  kube.delete('Pod', 'default', 'six-abc-1');
  await waitFor(
    async () => {
      await fetch(`${url}/wake-function/six`, { method: 'POST' });
      return woken.length > 0;
    },
    { what: 'the scaler is asked' },
  );
  assert.match(woken[0] ?? '', /^\/wake\/default\/six/);
});
