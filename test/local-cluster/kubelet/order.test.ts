/** In which order a pod's containers come and go. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { startTestCluster } from '../../helpers/cluster.ts';
import { waitFor } from '../../helpers/wait.ts';
import {
  createNotes,
  idle,
  noting,
  podOf,
  processesWith,
  sh,
  untilGone,
  untilPhase,
  untilReady,
  withEnv,
} from '../support/pods.ts';

const cluster = await startTestCluster();
after(() => cluster.stop());
const { api } = cluster;

/** Every status of a pod, from now on. */
function recordStatus(name: string, atEnd: (release: () => void) => void): KubeObject['status'][] {
  const seen: KubeObject['status'][] = [];
  const stop = api.watch('pods', (type, pod) => {
    if (pod.metadata.name === name && type !== 'DELETED' && pod['status']) seen.push(pod['status']);
  });
  atEnd(stop);
  return seen;
}

const sidecar = { restartPolicy: 'Always' };
const ignoring = `trap '' TERM; while :; do sleep 0.02; done`;

describe('order', { concurrency: true }, () => {
  test('init containers one after the other, a sidecar is up before the next one, mains come last', async (t) => {
    const notes = createNotes((release) => t.after(release));
    const initContainers = withEnv(notes.env, [
      sh('first', 'sleep 0.1; echo first >> "$NOTES"'),
      sh('side', 'echo side >> "$NOTES"; sleep 0.2; touch "$NOTES.up"; exec sleep 1000', {
        ...sidecar,
        startupProbe: { exec: { command: ['sh', '-c', 'test -f "$NOTES.up"'] }, periodSeconds: 1 },
      }),
      sh('second', 'test -f "$NOTES.up" && echo second after side is up >> "$NOTES"'),
    ]);
    const containers = withEnv(notes.env, [noting('main')]);
    await api.create('pods', podOf('starting', { initContainers, containers }));
    await untilReady(api, 'starting');
    await waitFor(() => notes.lines().length === 4, { what: 'all have written' });
    assert.deepEqual(notes.lines(), ['first', 'side', 'second after side is up', 'main up']);
    const { initContainerStatuses, phase } = api.get('pods', 'default', 'starting')?.['status'] ?? {};
    assert.equal(phase, 'Running');
    assert.deepEqual(
      initContainerStatuses.map((status: { state: object }) => Object.keys(status.state)[0]),
      ['terminated', 'running', 'terminated'],
      'the sidecar runs on beside the mains',
    );
  });

  test('a container starts when the one before it has started, its postStart hook included, or failed', async (t) => {
    const notes = createNotes((release) => t.after(release));
    const postStart = { exec: { command: ['sh', '-c', 'sleep 0.1; echo hook is over >> "$NOTES"'] } };
    const containers = withEnv(notes.env, [
      noting('first', { lifecycle: { postStart } }),
      { name: 'absent', image: 'nobody/has:it' },
      noting('last'),
    ]);
    await api.create('pods', podOf('listed', { containers }));
    await waitFor(() => notes.lines().length === 3, { what: 'all that can have started' });
    assert.deepEqual(notes.lines(), ['first up', 'hook is over', 'last up']);
  });

  test('the address is posted before any container runs', async (t) => {
    const seen = recordStatus('addressed', (release) => t.after(release));
    await api.create('pods', podOf('addressed', { containers: [idle()] }));
    await untilPhase(api, 'addressed', 'Running');
    const first = seen.find((status) => status.podIP);
    assert.match(first.podIP, /^127\.\d+\.\d+\.\d+$/);
    assert.equal(first.phase, 'Pending');
    assert.ok(first.containerStatuses[0].state.waiting, 'nothing ran at that moment');
  });

  test('at the end mains first, preStop before SIGTERM, then sidecars, the last one first', async (t) => {
    const notes = createNotes((release) => t.after(release));
    const preStop = { exec: { command: ['sh', '-c', 'sleep 0.1; echo preStop >> "$NOTES"'] } };
    const spec = {
      initContainers: withEnv(notes.env, [noting('side1', sidecar), noting('side2', sidecar)]),
      containers: withEnv(notes.env, [noting('main', { lifecycle: { preStop } })]),
    };
    await api.create('pods', podOf('ending', spec));
    await waitFor(() => notes.lines().includes('main up'), { what: 'all are up' });
    await api.delete('pods', 'default', 'ending');
    await untilGone(api, 'ending');
    const expected = ['side1 up', 'side2 up', 'main up', 'preStop', 'main down', 'side2 down', 'side1 down'];
    assert.deepEqual(notes.lines(), expected);
  });

  test('who ignores SIGTERM is killed at the deadline, and so is everybody that it started', async (t) => {
    const seen = recordStatus('stubborn', (release) => t.after(release));
    const mark = `SLIMFAAS_TEST_STUBBORN=${process.pid}`;
    const containers = [sh('main', `export ${mark}; (${ignoring}) & ${ignoring}`)];
    await api.create('pods', podOf('stubborn', { containers, terminationGracePeriodSeconds: 1 }));
    await untilPhase(api, 'stubborn', 'Running');
    await waitFor(() => processesWith(mark).length >= 2, { what: 'it and its child run' });
    await api.delete('pods', 'default', 'stubborn');
    await untilGone(api, 'stubborn');
    const end = seen.at(-1).containerStatuses[0].state.terminated;
    assert.deepEqual([end.exitCode, end.signal, end.reason], [137, 9, 'Error']);
    await waitFor(() => processesWith(mark).length === 0, { what: 'nothing of it is left' });
  });

  test('a second, shorter delete brings the deadline forward', async () => {
    const containers = [sh('main', ignoring)];
    await api.create('pods', podOf('hurried', { containers, terminationGracePeriodSeconds: 600 }));
    await untilPhase(api, 'hurried', 'Running');
    await api.delete('pods', 'default', 'hurried');
    assert.equal(api.get('pods', 'default', 'hurried')?.metadata.deletionGracePeriodSeconds, 600);
    await api.delete('pods', 'default', 'hurried', { gracePeriodSeconds: 1 });
    await untilGone(api, 'hurried');
  });

  test('a preStop hook that outlasts the grace period does not hold the pod', async () => {
    const lifecycle = { preStop: { exec: { command: ['sleep', '600'] } } };
    const spec = { containers: [idle('main', { lifecycle })], terminationGracePeriodSeconds: 1 };
    await api.create('pods', podOf('hooked', spec));
    await untilPhase(api, 'hooked', 'Running');
    await api.delete('pods', 'default', 'hooked');
    await untilGone(api, 'hooked');
  });

  test('a forced delete cuts a preStop hook short', async () => {
    const mark = `SLIMFAAS_TEST_HOOK=${process.pid}`;
    const lifecycle = { preStop: { exec: { command: ['sh', '-c', `${mark} sleep 600; true`] } } };
    const spec = { containers: [idle('main', { lifecycle })], terminationGracePeriodSeconds: 600 };
    await api.create('pods', podOf('forced', spec));
    await untilPhase(api, 'forced', 'Running');
    await api.delete('pods', 'default', 'forced');
    await waitFor(() => processesWith(mark).length > 0, { what: 'the hook runs' });
    await api.delete('pods', 'default', 'forced', { gracePeriodSeconds: 0 });
    await waitFor(() => processesWith(mark).length === 0, { what: 'the hook has ended' });
  });

  test('a pod deleted at any moment of its start leaves nothing', async () => {
    const mark = 'SLIMFAAS_TEST_DELETED';
    const env = [{ name: mark, value: String(process.pid) }];
    const spec = {
      initContainers: [idle('side', { ...sidecar, env }), sh('init', 'sleep 0.02', { env })],
      containers: [idle('main', { env })],
    };
    const names = Array.from({ length: 24 }, (_, i) => `short-${i}`);
    for (const [i, name] of names.entries()) {
      await api.create('pods', podOf(name, spec));
      // A few turns of the loop later each time: from before its worker to after its first processes.
      for (let turn = 0; turn < i; turn++) await new Promise(setImmediate);
      await api.delete('pods', 'default', name);
    }
    for (const name of names) await untilGone(api, name);
    assert.deepEqual(processesWith(`${mark}=${process.pid}`), []);
  });
});
