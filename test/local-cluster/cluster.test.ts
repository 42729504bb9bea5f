/** The cluster as a whole: logs, drains, neighbours, and what is left of it when it is killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { KubeObject } from '../../packages/local-cluster/api/objects/types.ts';
import { startTestCluster } from '../helpers/cluster.ts';
import { kubectl } from '../helpers/kubectl.ts';
import { waitFor } from '../helpers/wait.ts';
import { idle, isReady, podOf, processesWith, sh, untilReady } from './support/pods.ts';

const cluster = await startTestCluster({ nodes: 2, backoffBaseMs: 200 });
after(() => cluster.stop());
const { api } = cluster;

function kubectlLogs(...args: string[]) {
  return kubectl(cluster.kubeconfigPath, ['logs', ...args]);
}

describe('logs', { concurrency: true }, () => {
  test('the lines of the current run, the last ones on request, of one container', async () => {
    const containers = [sh('main', 'echo one; echo two >&2; echo three; exec sleep 1000'), idle('other')];
    await api.create('pods', podOf('talks', { containers }));
    await untilReady(api, 'talks');
    await waitFor(async () => (await kubectlLogs('talks', '-c', 'main')).stdout.includes('three'), {
      what: 'it has written',
    });
    const { stdout } = await kubectlLogs('talks', '-c', 'main');
    assert.deepEqual(stdout.trim().split('\n').toSorted(), ['one', 'three', 'two']);
    assert.equal((await kubectlLogs('talks', '-c', 'main', '--tail=1')).stdout.trim().split('\n').length, 1);
    assert.equal((await kubectlLogs('talks', '-c', 'other')).stdout, '');
  });

  test('following ends with the run, last line included', async () => {
    const containers = [sh('main', 'echo begin; sleep 0.5; printf "no newline"')];
    await api.create('pods', podOf('short', { restartPolicy: 'Never', containers }));
    await untilReady(api, 'short');
    assert.equal((await kubectlLogs('short', '-f')).stdout, 'begin\nno newline\n');
  });

  test('a container that has not run yet has no log', async () => {
    const release = cluster.failures.failPull('late');
    await api.create('pods', podOf('late', { containers: [{ ...idle(), image: 'late:1' }] }));
    await waitFor(() => api.get('pods', 'default', 'late')?.['status']?.podIP, { what: 'it is there' });
    const { code, stderr } = await kubectlLogs('late');
    assert.equal(code, 1);
    assert.match(stderr, /waiting to start/);
    release();
  });
});

test('a drained node: budgets are kept, the pods come up on the other one, and the cordon can be taken back', async () => {
  await cluster.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: spread }
spec:
  replicas: 4
  selector: { matchLabels: { app: spread } }
  template:
    metadata: { labels: { app: spread } }
    spec: { containers: [{ name: main, image: none, command: [sleep, '1000'] }] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: spread }
spec: { maxUnavailable: 1, selector: { matchLabels: { app: spread } } }`);
  const pods = () => api.list('pods', { namespace: 'default', labelSelector: 'app=spread' });
  const nodesOf = () =>
    pods()
      .map((pod) => pod['spec'].nodeName as string)
      .toSorted();
  const isUp = () =>
    pods().filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined).length === 4;
  await waitFor(isUp, { what: 'four pods' });
  assert.deepEqual(nodesOf(), ['local', 'local', 'local-2', 'local-2'], 'they are spread');
  let fewest = Infinity;
  const stop = api.watch('pods', () => {
    const healthy = (pod: KubeObject) => isReady(pod) && pod.metadata.deletionTimestamp === undefined;
    fewest = Math.min(fewest, pods().filter(healthy).length);
  });
  const uncordon = await cluster.failures.drain({
    except: (pod) => pod.metadata.labels?.['app'] !== 'spread',
  });
  await waitFor(isUp, { what: 'four pods again' });
  stop();
  assert.deepEqual(new Set(nodesOf()), new Set(['local-2']));
  assert.ok(fewest >= 3, `${fewest} ready, the budget says 3`);
  await uncordon();
  const { stdout } = await kubectl(cluster.kubeconfigPath, ['get', 'nodes', '--no-headers']);
  assert.match(stdout, /^local +Ready /m);
});

test('a drain that a budget forbids says so when its time is over', async () => {
  await cluster.apply(`
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: held }
spec: { maxUnavailable: 0, selector: { matchLabels: { app: held } } }`);
  await api.create('pods', podOf('held', { containers: [idle()] }));
  await untilReady(api, 'held');
  const node = api.get('pods', 'default', 'held')?.['spec'].nodeName as string;
  const except = (pod: KubeObject) => pod.metadata.name !== 'held';
  await assert.rejects(
    cluster.failures.drain({ node, except, timeoutMs: 100 }),
    /would violate the pod's disruption budget/,
  );
  await api.modify('nodes', undefined, node, (draft) => void (draft['spec'].unschedulable = false));
});

test('two clusters side by side have networks of their own', async () => {
  const other = await startTestCluster();
  try {
    assert.notEqual(other.server.url, cluster.server.url);
    await other.api.create('pods', podOf('far', { containers: [idle()] }));
    await untilReady(other.api, 'far');
    assert.equal(api.get('pods', 'default', 'far'), undefined);
  } finally {
    await other.stop();
  }
  assert.equal(existsSync(dirname(other.kubeconfigPath)), false, 'its folder is gone');
});

test('killed -9: the watchdog ends every container and removes the folder', async () => {
  const mark = `watchdog-${process.pid}`;
  const script = join(import.meta.dirname, './support/cluster-process.ts');
  const child = spawn(process.execPath, [script, mark], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { dir, pids } = JSON.parse(line.toString()) as { dir: string; pids: number[] };
  assert.ok(existsSync(dir));
  assert.ok(pids.length > 0);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  await waitFor(() => processesWith(`MARK=${mark}`).length === 0, { what: 'no container is left' });
  await waitFor(() => !existsSync(dir), { what: 'the folder is gone' });
  await waitFor(() => processesWith(dir).length === 0, { what: 'the watchdog has ended' });
});
