/** slimfaas.dev/services: wake on the local cluster: callers keep the address of the function's own Service. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { send } from '../helpers/send.ts';
import { waitFor } from '../helpers/wait.ts';
import { NAMESPACE } from '../e2e/functions.ts';
import { startWorld, type World } from '../e2e/world.ts';

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200 });
});
after(() => world[Symbol.asyncDispose]());

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

interface Endpoint {
  readonly conditions: { readonly ready: boolean };
}

/** Undefined: our slice names nobody, or is not there. */
function leads(name: string): boolean | undefined {
  const slice = world.system.api.get('endpointslices', NAMESPACE, `${name}-slimfaas`);
  const [first] = (slice?.['endpoints'] ?? []) as Endpoint[];
  return first?.conditions.ready;
}

async function addService(name: string): Promise<string> {
  await world.system.apply(`
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec: { selector: { app: ${name} }, ports: [{ port: 80, targetPort: 5000 }] }`);
  const address = () => world.system.api.get('services', NAMESPACE, name)?.['spec'].clusterIP as string;
  return `http://${await waitFor(address, { what: 'it has an address' })}`;
}

test('from zero, warm, and from zero again by its own Service; calls all the time, none is refused', async () => {
  const annotations = { 'slimfaas.dev/services': 'wake', TimeoutSecondBeforeSetReplicasMin: 600 };
  await world.deploy({ name: 'shop', annotations });
  const url = await addService('shop');
  await waitFor(() => leads('shop') === true, { what: 'its Service leads to the proxy' });
  const cold = await send(`${url}/hello/cold`);
  assert.deepEqual([cold.status, cold.body], [200, 'Hello cold\n']);
  const over = new AbortController();
  const failed: unknown[] = [];
  const calling = (async () => {
    while (!over.signal.aborted) {
      const answer = await send(`${url}/hello/again`).catch((error: unknown) => error);
      if ((answer as { status?: number }).status !== 200) failed.push(answer);
    }
  })();
  for (let round = 0; round < 2; round++) {
    await waitFor(() => leads('shop') === false, { what: 'it leads to the pod', timeoutMs: 30_000 });
    const names = new Set(world.pods('shop').map(({ metadata }) => metadata.name));
    await world.system.api.modify('deployments', NAMESPACE, 'shop', (draft) => {
      draft.spec.replicas = 0;
    });
    const isWoken = () => world.pods('shop').some(({ metadata }) => !names.has(metadata.name));
    await waitFor(isWoken, { what: 'a call has woken it', timeoutMs: 30_000 });
  }
  await world.waitForReady('shop', 1, 30_000);
  over.abort();
  await calling;
  assert.deepEqual(failed, []);
});

/** As somebody with a kubeconfig calls it. */
async function release(...args: string[]): Promise<{ code: number; stdout: string }> {
  const env = { PATH: process.env['PATH'], HOME: '/nowhere', KUBECONFIG: world.system.kubeconfigPath };
  const run = promisify(execFile)(process.execPath, [MAIN, 'release', ...args], { env });
  return run.then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string }) => error,
  );
}

test('slimfaas release: functions have their pods, their Services lead there alone, and nothing sleeps any more', async () => {
  const annotations = { 'slimfaas.dev/services': 'wake', ReplicasAtStart: 2 };
  const schedule = world.system.failures.unschedulable((pod) => pod.metadata.labels?.['app'] === 'late');
  const urls = new Map<string, string>();
  for (const name of ['stays', 'late']) {
    await world.deploy({ name, annotations });
    urls.set(name, await addService(name));
    await waitFor(() => leads(name) === true, { what: 'its Service leads to the proxy' });
  }
  const first = await release('--wait=20');
  assert.equal(first.code, 1);
  assert.match(first.stdout, /^slimfaas\/stays: 2 replicas$/m);
  assert.match(
    first.stdout,
    /^slimfaas\/late: no ready pod after 20 s; its Services still lead to the proxies$/m,
  );
  assert.deepEqual([leads('stays'), leads('late')], [undefined, true]);
  assert.equal((await send(`${urls.get('stays')}/hello/you`)).body, 'Hello you\n');
  schedule();
  const second = await release();
  assert.equal(second.code, 0);
  assert.match(second.stdout, /^1 EndpointSlices removed\nnow uninstall slimfaas\n$/m);
  assert.equal(leads('late'), undefined);
  assert.equal((await send(`${urls.get('late')}/hello/you`)).body, 'Hello you\n');
  const scaler = world.system.api.get('deployments', NAMESPACE, 'slimfaas-scaler');
  assert.equal(scaler?.['spec'].replicas, 0);
});
