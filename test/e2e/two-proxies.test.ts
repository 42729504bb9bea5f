/** Two proxies before one full pod, everything real but Kubernetes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { kubectl } from '../helpers/kubectl.ts';
import { waitFor } from '../helpers/wait.ts';
import { NAMESPACE } from './functions.ts';
import { mostAtOnce, send, startWorld, type Work, type World } from './world.ts';

const PLACES = 4;
let world: World;
let proxies: string[];

before(async () => {
  world = await startWorld();
  const args = ['-n', NAMESPACE, 'scale', 'deployment/slimfaas-proxy', '--replicas=2'];
  const { code, stderr } = await kubectl(world.system.kubeconfigPath, args);
  assert.equal(code, 0, stderr);
  const labelSelector = 'app.kubernetes.io/component=proxy';
  const pods = () => world.system.api.list('pods', { namespace: NAMESPACE, labelSelector });
  const isReady = (pod: ReturnType<typeof pods>[number]): boolean =>
    (pod['status']?.conditions ?? []).some(
      (c: { type: string; status: string }) => c.type === 'Ready' && c.status === 'True',
    );
  await waitFor(() => pods().filter(isReady).length === 2, {
    what: 'two proxies are ready',
    timeoutMs: 60_000,
  });
  proxies = pods().map((pod) => `http://${pod['status'].podIP}:5000`);
});
after(() => world[Symbol.asyncDispose]());

test('callers of both share the pod’s places by turns; both show all that wait and run', async () => {
  await world.deploy({ name: 'fair', annotations: { NumberParallelRequestPerPod: PLACES, ReplicasMin: 1 } });
  await world.waitForReady('fair', 1);
  const works: Work[] = [];
  const counts: [number, number] = [0, 0];
  const enough = new AbortController();
  const caller = async (nth: 0 | 1): Promise<void> => {
    while (!enough.signal.aborted) {
      const { status, body } = await send(`${proxies[nth]}/function/fair/work/50`);
      assert.equal(status, 200, body);
      works.push(JSON.parse(body) as Work);
      counts[nth]++;
    }
  };
  const callers = Array.from({ length: 16 }, (_, i) => caller(i % 2 === 0 ? 0 : 1));
  await waitFor(() => works.length > 40, { what: 'load runs' });
  for (const proxy of proxies)
    await waitFor(async () => (await inAll(proxy)) > 10, {
      what: `${proxy} shows more than its own 8 callers`,
    });
  counts.fill(0);
  await waitFor(() => counts[0] + counts[1] > 200, { what: '200 calls', timeoutMs: 60_000 });
  const [a, b] = counts;
  enough.abort();
  await Promise.all(callers);
  assert.ok(Math.max(a, b) <= 1.2 * Math.min(a, b), `${a} of one proxy, ${b} of the other`);
  assert.ok(mostAtOnce(works) <= PLACES, `${mostAtOnce(works)} ran at once`);
});

async function inAll(proxy: string): Promise<number> {
  const [status] = JSON.parse((await send(`${proxy}/status-function/fair`)).body) as {
    Waiting: number;
    Running: number;
  }[];
  return (status?.Waiting ?? 0) + (status?.Running ?? 0);
}
