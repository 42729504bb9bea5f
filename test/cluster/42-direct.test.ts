/** Use past proxy and sidecar, where it is asked for: open connections. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openWorld, type Deployed } from './harness/world.ts';

const world = await openWorld();
const caller = await world.caller();
const IDLE_S = 20;
const PORT = 5000;
const PROBES = {
  readinessProbe: { httpGet: { path: '/health', port: PORT }, periodSeconds: 1 },
  livenessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 },
};

function deploy(name: string, annotations: Readonly<Record<string, string | number>> = {}) {
  return world.deploy({
    name,
    annotations: {
      TimeoutSecondBeforeSetReplicasMin: IDLE_S,
      'slimfaas.dev/direct-traffic': 'count',
      ...annotations,
    },
    container: PROBES,
  });
}

/** Awake from a call through the proxy on. */
async function wake(fn: Deployed): Promise<void> {
  assert.equal((await world.call(fn.name)).status, 200);
}

/** A NodePort's address: its callers reach the pod from the node's address, as the kubelet does. */
async function nodePortOf(fn: Deployed): Promise<string> {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: fn.name, namespace: world.namespace },
    spec: { type: 'NodePort', selector: { app: fn.name }, ports: [{ port: PORT }] },
  };
  await world.apply(service);
  const path = `/api/v1/namespaces/${world.namespace}/services/${fn.name}`;
  const port = (await world.get(path))?.['spec'].ports[0].nodePort as number;
  const [pod] = await fn.pods();
  const url = `http://${String(pod?.['status'].hostIP)}:${port}/hello`;
  await caller.poll(url); // until the node knows it
  return url;
}

describe('direct traffic', { concurrency: 3 }, () => {
  it('with direct-traffic "ignore" such calls are no use', async () => {
    await using fn = await deploy('direct-ignored', { 'slimfaas.dev/direct-traffic': 'ignore' });
    await wake(fn);
    const url = await nodePortOf(fn);
    const load = await caller.load({ url, callers: 1, paceMs: 1_000 });
    await fn.waitForReplicas(0, 60_000);
    await load.stop();
  });

  it('an open connection without a byte counts for direct-idle seconds, and no longer', async () => {
    await using fn = await deploy('direct-open', { 'slimfaas.dev/direct-idle': 45 });
    await wake(fn);
    const [host = '', port = ''] = new URL(await nodePortOf(fn)).host.split(':');
    const { status } = await caller.hold(`${host}:${port}`, 150_000);
    assert.equal(status, 200);
    await delay(35_000);
    assert.equal(await fn.replicas(), 1);
    await fn.waitForReplicas(0, 110_000);
  });
});
