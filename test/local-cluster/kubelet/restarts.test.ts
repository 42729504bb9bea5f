/** Containers that end, cannot start, or are killed, and what the pod's status says of it. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startTestCluster } from '../../helpers/cluster.ts';
import { waitFor } from '../../helpers/wait.ts';
import {
  createNotes,
  eventsAbout,
  idle,
  noting,
  phaseOf,
  podOf,
  sh,
  statusOf,
  untilPhase,
  untilReady,
  withEnv,
} from '../support/pods.ts';

const cluster = await startTestCluster({ backoffBaseMs: 100 });
after(() => cluster.stop());
const { api, failures } = cluster;

const sidecar = { restartPolicy: 'Always' };
const isWaitingFor = (pod: string, reason: string) => () =>
  statusOf(api, pod, 'main')?.state.waiting?.reason === reason;
const restartsOf = (pod: string, container = 'main') => statusOf(api, pod, container)?.restartCount ?? 0;

describe('restarts', { concurrency: true }, () => {
  test('a crashing container is restarted, later and later, and says so', async () => {
    await api.create('pods', podOf('crashing', { containers: [sh('main', 'exit 7')] }));
    await waitFor(isWaitingFor('crashing', 'CrashLoopBackOff'), { what: 'CrashLoopBackOff' });
    await waitFor(() => restartsOf('crashing') >= 3, { what: 'three restarts' });
    await waitFor(isWaitingFor('crashing', 'CrashLoopBackOff'), { what: 'CrashLoopBackOff again' });
    const { lastState, state, ready } = statusOf(api, 'crashing', 'main');
    assert.equal(lastState.terminated.exitCode, 7);
    assert.equal(lastState.terminated.reason, 'Error');
    assert.match(
      state.waiting.message,
      /^back-off \S+ restarting failed container=main pod=crashing_default\(/,
    );
    assert.equal(ready, false);
    assert.equal(phaseOf(api, 'crashing'), 'Running', 'restartPolicy Always: never Failed');
    assert.ok(
      eventsAbout(api, 'crashing').some((e) =>
        e.startsWith('BackOff: Back-off restarting failed container main'),
      ),
    );
  });

  test('restartPolicy Never: the exit code decides the phase', async () => {
    const spec = { restartPolicy: 'Never' };
    await api.create(
      'pods',
      podOf('done', { ...spec, containers: [sh('main', 'true'), sh('two', 'sleep 0.1')] }),
    );
    await api.create(
      'pods',
      podOf('failed', { ...spec, containers: [sh('main', 'exit 3'), sh('two', 'true')] }),
    );
    await untilPhase(api, 'done', 'Succeeded');
    await untilPhase(api, 'failed', 'Failed');
    assert.equal(statusOf(api, 'done', 'main').state.terminated.reason, 'Completed');
    assert.equal(statusOf(api, 'failed', 'main').state.terminated.exitCode, 3);
    assert.equal(restartsOf('failed'), 0);
  });

  test('restartPolicy OnFailure: again until it succeeds; then the sidecars end', async (t) => {
    const notes = createNotes((release) => t.after(release));
    const script = 'echo try >> "$NOTES"; test $(grep -c try "$NOTES") -ge 3';
    const spec = {
      restartPolicy: 'OnFailure',
      initContainers: withEnv(notes.env, [noting('side', sidecar)]),
      containers: withEnv(notes.env, [sh('main', script)]),
    };
    await api.create('pods', podOf('onfailure', spec));
    await untilPhase(api, 'onfailure', 'Succeeded');
    assert.equal(restartsOf('onfailure'), 2);
    assert.deepEqual(notes.lines(), ['side up', 'try', 'try', 'try', 'side down']);
  });

  test('an init container that fails for good fails the pod, and its sidecars end', async (t) => {
    const notes = createNotes((release) => t.after(release));
    const spec = {
      restartPolicy: 'Never',
      initContainers: withEnv(notes.env, [
        noting('side', sidecar),
        sh('init', 'until test -s "$NOTES"; do :; done; exit 4'),
      ]),
      containers: withEnv(notes.env, [noting('main')]),
    };
    await api.create('pods', podOf('badinit', spec));
    await untilPhase(api, 'badinit', 'Failed');
    await waitFor(() => notes.lines().at(-1) === 'side down', { what: 'the sidecar has ended' });
    assert.equal(notes.lines().includes('main up'), false);
  });

  test('killed -9: restarted, counted, 137', async () => {
    await api.create('pods', podOf('killed', { containers: [idle()] }));
    await untilReady(api, 'killed');
    failures.killPod('default', 'killed');
    await waitFor(() => restartsOf('killed') === 1, { what: 'it runs again' });
    await untilReady(api, 'killed');
    const { terminated } = statusOf(api, 'killed', 'main').lastState;
    assert.deepEqual([terminated.exitCode, terminated.signal], [137, 9]);
  });

  test('a sidecar killed midway comes back; the pod has not failed and the main was not touched', async () => {
    const initContainers = [idle('side', sidecar)];
    await api.create(
      'pods',
      podOf('halved', { restartPolicy: 'Never', initContainers, containers: [idle()] }),
    );
    await untilReady(api, 'halved');
    const { containerID } = statusOf(api, 'halved', 'main');
    failures.killPod('default', 'halved', 'side');
    await waitFor(() => restartsOf('halved', 'side') === 1, { what: 'it runs again' });
    await untilReady(api, 'halved');
    assert.equal(phaseOf(api, 'halved'), 'Running');
    assert.equal(statusOf(api, 'halved', 'main').containerID, containerID);
  });

  test('an image that cannot be pulled: ErrImagePull, ImagePullBackOff, and well again when it can', async () => {
    const release = failures.failPull('broken', 'registry says no');
    const main = { ...idle(), image: 'registry.example:5000/team/broken:2' };
    await api.create('pods', podOf('unpulled', { containers: [main] }));
    await waitFor(isWaitingFor('unpulled', 'ErrImagePull'), { what: 'ErrImagePull' });
    assert.equal(statusOf(api, 'unpulled', 'main').state.waiting.message, 'registry says no');
    await waitFor(isWaitingFor('unpulled', 'ImagePullBackOff'), { what: 'ImagePullBackOff' });
    assert.equal(phaseOf(api, 'unpulled'), 'Pending');
    release();
    await untilReady(api, 'unpulled');
  });

  test('an unknown image without a command is not found', async () => {
    await api.create('pods', podOf('unknown', { containers: [{ name: 'main', image: 'nobody/knows:1' }] }));
    await waitFor(isWaitingFor('unknown', 'ErrImagePull'), { what: 'ErrImagePull' });
    assert.match(statusOf(api, 'unknown', 'main').state.waiting.message, /^nobody\/knows:1: not found/);
  });

  test('a Secret that is missing holds the container back until it is there', async () => {
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'later', key: 'k' } } }];
    await api.create('pods', podOf('config', { containers: [idle('main', { env })] }));
    await waitFor(isWaitingFor('config', 'CreateContainerConfigError'), { what: 'the error' });
    assert.equal(statusOf(api, 'config', 'main').state.waiting.message, 'secret "later" not found');
    const metadata = { name: 'later', namespace: 'default' } as never;
    await api.create('secrets', { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { k: 'v' } });
    await untilReady(api, 'config');
  });

  test('a program that does not exist is a StartError', async () => {
    const main = { ...idle(), command: ['/no/such/program'] };
    await api.create('pods', podOf('nothere', { restartPolicy: 'Never', containers: [main] }));
    await untilPhase(api, 'nothere', 'Failed');
    const { reason, message, exitCode } = statusOf(api, 'nothere', 'main').state.terminated;
    assert.deepEqual([reason, exitCode], ['StartError', 128]);
    assert.match(message, /exec: "\/no\/such\/program": executable file not found/);
  });

  test('a crash on request ends with its release', async () => {
    const release = failures.crash('fragile');
    await api.create('pods', podOf('fragile', { containers: [idle('fragile')] }));
    await waitFor(() => restartsOf('fragile', 'fragile') >= 1, { what: 'it crashes' });
    release();
    await untilReady(api, 'fragile');
  });

  test("unschedulable on request, in the scheduler's words, and bound when it ends", async () => {
    const release = failures.unschedulable(
      (pod) => pod.metadata.name === 'homeless',
      '1 Insufficient memory',
    );
    await api.create('pods', podOf('homeless', { containers: [idle()] }));
    const condition = () =>
      api
        .get('pods', 'default', 'homeless')
        ?.['status']?.conditions?.find((c: { type: string }) => c.type === 'PodScheduled');
    await waitFor(() => condition()?.reason === 'Unschedulable', { what: 'Unschedulable' });
    assert.match(condition().message, /^0\/1 nodes are available: 1 Insufficient memory\./);
    assert.ok(eventsAbout(api, 'homeless').some((e) => e.startsWith('FailedScheduling: 0/1 nodes')));
    release();
    await untilReady(api, 'homeless');
  });
});
