/** Services, node ports and host ports in front of real listeners. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import type { KubeObject } from '../../packages/local-cluster/api/objects/types.ts';
import { startTestCluster } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';
import { podOf, untilReady } from './support/pods.ts';

const cluster = await startTestCluster();
after(() => cluster.stop());
const { api } = cluster;

/** Says its pod's name and the caller's address, then echoes. */
const SERVER = `
  require('node:net').createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(process.env.HOSTNAME + ' ' + socket.remoteAddress + '\\n');
    socket.pipe(socket);
  }).listen(7000, process.env.HOST);`;

const LISTENS = { tcpSocket: { port: 7000 }, periodSeconds: 1 };

interface ServerPod {
  readonly name: string;
  readonly app: string;
  readonly ports?: readonly object[];
  readonly readinessProbe?: object;
}

async function createPod({ name, app, ports = [], readinessProbe = LISTENS }: ServerPod): Promise<void> {
  const env = [{ name: 'HOST', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }];
  const main = {
    name: 'main',
    image: 'none:1',
    command: [process.execPath, '-e', SERVER],
    env,
    ports,
    readinessProbe,
  };
  await api.create('pods', podOf(name, { containers: [main] }, { app }));
}

async function startPod(name: string, app: string, ports: readonly object[] = []): Promise<void> {
  await createPod({ name, app, ports });
  await untilReady(api, name);
}

async function startService(name: string, type = 'ClusterIP'): Promise<string> {
  await cluster.apply(`
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { type: ${type}, selector: { app: ${name} }, ports: [{ port: 80, targetPort: 7000 }] }`);
  return waitFor(() => api.get('services', 'default', name)?.['spec'].clusterIP as string, {
    what: 'it has an address',
  });
}

interface Talk {
  readonly socket: Socket;
  /** What the server said first. */
  readonly greeting: string;
}

/** @throws when the connection is refused or reset */
async function talk(host: string, port: number, localAddress?: string): Promise<Talk> {
  const socket = connect({ host, port, ...(localAddress ? { localAddress } : {}) });
  const [first] = (await once(socket, 'data')) as [Buffer];
  return { socket, greeting: first.toString().trim() };
}

async function greeting(host: string, port: number, localAddress?: string): Promise<string> {
  const { socket, greeting } = await talk(host, port, localAddress);
  socket.destroy();
  return greeting;
}

async function untilAnswered(host: string, port: number): Promise<string> {
  return waitFor(() => greeting(host, port), { what: `${host}:${port} answers` });
}

describe('services', { concurrency: true }, () => {
  test('a cluster address refuses while nobody is ready, then reaches every ready pod and no other', async () => {
    const ip = await startService('both');
    assert.match(ip, /^127\.\d+\.128\.\d+$/);
    await assert.rejects(greeting(ip, 80), { code: 'ECONNREFUSED' });
    // It listens, and is never ready.
    await createPod({ name: 'both-0', app: 'both', readinessProbe: { exec: { command: ['false'] } } });
    const unready = () => api.get('pods', 'default', 'both-0')?.['status']?.podIP as string;
    await waitFor(() => greeting(unready(), 7000), { what: 'it listens' });
    await startPod('both-1', 'both');
    assert.match(await untilAnswered(ip, 80), /^both-1 /);
    await startPod('both-2', 'both');
    const seen = new Set<string>();
    await waitFor(async () => seen.add((await greeting(ip, 80)).split(' ')[0] ?? '').size === 2, {
      what: 'both have answered',
    });
    await api.delete('pods', 'default', 'both-1');
    const slice = () => api.list('endpointslices', { labelSelector: 'kubernetes.io/service-name=both' })[0];
    await waitFor(() => (slice()?.['endpoints'] as unknown[] | undefined)?.length === 2, {
      what: 'it has left the slice',
    });
    for (let i = 0; i < 20; i++) assert.match(await greeting(ip, 80), /^both-2 /);
    await api.delete('pods', 'default', 'both-2');
    await waitFor(
      () =>
        greeting(ip, 80).then(
          () => false,
          (error) => error.code === 'ECONNREFUSED',
        ),
      { what: 'refused again' },
    );
  });

  test('who ends and serves still is called where nobody is ready, as kube-proxy does it', async () => {
    const ip = await startService('lent');
    await startPod('stand-in', 'stand-in');
    const address = api.get('pods', 'default', 'stand-in')?.['status'].podIP as string;
    await api.create('endpointslices', {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'lent-other',
        namespace: 'default',
        labels: { 'kubernetes.io/service-name': 'lent' },
      } as unknown as KubeObject['metadata'],
      addressType: 'IPv4',
      ports: [{ name: '', port: 7000, protocol: 'TCP' }],
      endpoints: [{ addresses: [address], conditions: { ready: false, serving: true, terminating: true } }],
    });
    assert.match(await untilAnswered(ip, 80), /^stand-in /);
    await startPod('lent-1', 'lent');
    const isOwn = async () => (await greeting(ip, 80)).startsWith('lent-1 ');
    await waitFor(isOwn, { what: 'the ready one is called' });
    for (let i = 0; i < 10; i++) assert.match(await greeting(ip, 80), /^lent-1 /);
  });

  test('a connection outlives its service; new ones are refused', async () => {
    const ip = await startService('brief');
    await startPod('brief-1', 'brief');
    await untilAnswered(ip, 80);
    const { socket } = await talk(ip, 80);
    await api.delete('services', 'default', 'brief');
    await waitFor(
      () =>
        greeting(ip, 80).then(
          () => false,
          () => true,
        ),
      { what: 'no new connection' },
    );
    socket.write('still there');
    assert.equal(String((await once(socket, 'data'))[0]), 'still there');
    socket.destroy();
  });

  test("a caller with a pod's address keeps it on the way through", async () => {
    const ip = await startService('sees');
    await startPod('sees-1', 'sees');
    await untilAnswered(ip, 80);
    const pod = api.get('pods', 'default', 'sees-1')?.['status'].podIP as string;
    assert.equal(await greeting(ip, 80, pod), `sees-1 ${pod}`);
    assert.equal(await greeting(ip, 80), 'sees-1 127.0.0.1');
  });

  test('a NodePort on 127.0.0.1', async () => {
    await startService('outside', 'NodePort');
    const port = api.get('services', 'default', 'outside')?.['spec'].ports[0].nodePort as number;
    assert.ok(port >= 30_000 && port < 32_768, String(port));
    await startPod('outside-1', 'outside');
    assert.match(await untilAnswered('127.0.0.1', port), /^outside-1 /);
  });

  test('a hostPort on 127.0.0.1, gone with its pod; a second pod with the same one waits for it', async () => {
    const hostPort = await freePort();
    const ports = [{ containerPort: 7000, hostPort }];
    await startPod('hosted', 'hosted', ports);
    assert.match(await untilAnswered('127.0.0.1', hostPort), /^hosted /);
    const second = startPod('hosted-2', 'hosted', ports);
    const condition = () => api.get('pods', 'default', 'hosted-2')?.['status']?.conditions?.[0];
    await waitFor(() => condition()?.reason === 'Unschedulable', { what: 'it is refused' });
    assert.match(condition().message, /didn't have free ports for the requested pod ports/);
    await api.delete('pods', 'default', 'hosted');
    await second;
    assert.match(await untilAnswered('127.0.0.1', hostPort), /^hosted-2 /);
  });

  test('what is published listens before anybody is ready, and resets until then', async () => {
    await startService('shown');
    const { host, port } = await cluster.publish(0, 'default', 'shown', 80);
    await assert.rejects(greeting(host, port), { code: 'ECONNRESET' });
    await startPod('shown-1', 'shown');
    assert.match(await untilAnswered(host, port), /^shown-1 /);
  });

  test('a port that is taken is an error for who publishes', async () => {
    const { port } = await cluster.publish(0, 'default', 'nobody', 80);
    await assert.rejects(cluster.publish(port, 'default', 'nobody', 80), { code: 'EADDRINUSE' });
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
