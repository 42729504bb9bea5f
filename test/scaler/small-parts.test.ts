/** The small parts by themselves: Events that do not flood, the index of the world, objects as the API has them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { V1Deployment, V1Pod } from '../../common/kube/client.ts';
import { silentLog } from '../../common/runtime/log.ts';
import { decodePodReadyAnswer, encodePodReadyQuestion } from '../../common/bus/pod-ready.ts';
import { createEventSink } from '../../scaler/act/events.ts';
import type { KubeEvent } from '../../scaler/world/kube.ts';
import { readWorkload } from '../../common/kube/model/workload.ts';
import { podOf, type Pod, type Workload } from '../../scaler/world/kube-objects.ts';
import { answerPodReady, answerSharedPodReady } from '../../scaler/world/pod-ready.ts';
import { World } from '../../scaler/world/world.ts';

function deployment(name: string, rest: Partial<V1Deployment> = {}): V1Deployment {
  const metadata = { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: '5' };
  const template = { metadata: { annotations: { 'SlimFaas/Function': 'true' } } };
  return { metadata, spec: { replicas: 1, selector: {}, template }, ...rest };
}

const workload = (name: string, { kind = 'Deployment', ...rest }: Partial<Workload> = {}): Workload => ({
  ...readWorkload(kind, deployment(name), undefined),
  ...rest,
});

describe('Events', () => {
  function sink() {
    const sent: string[] = [];
    const clock = { nowMs: 0 };
    const emit = async (w: Workload, event: KubeEvent) => void sent.push(`${w.id.name} ${event.message}`);
    const count = { dropped: 0 };
    const onDropped = () => void count.dropped++;
    const events = createEventSink({ emit }, { now: () => clock.nowMs, log: silentLog, onDropped });
    return { sent, clock, count, events };
  }
  const event = (message: string): KubeEvent => ({ type: 'Normal', reason: 'Wake', message });

  test('the same message once in ten minutes, for each workload by itself', () => {
    const { sent, clock, events } = sink();
    for (const name of ['a', 'a', 'b']) events.emit(workload(name), event('x'));
    assert.deepEqual(sent, ['a x', 'b x']);
    clock.nowMs = 599_999;
    events.emit(workload('a'), event('x'));
    assert.equal(sent.length, 2);
    clock.nowMs = 600_000;
    events.emit(workload('a'), event('x'));
    assert.equal(sent.length, 3);
  });

  test('no more than twenty for one workload in ten minutes', () => {
    const { sent, clock, count, events } = sink();
    for (let i = 0; i < 50; i++) events.emit(workload('a'), event(String(i)));
    assert.deepEqual([sent.length, count.dropped], [20, 30]);
    clock.nowMs = 600_000;
    events.emit(workload('a'), event('again'));
    assert.equal(sent.length, 21);
  });

  test('an API that refuses them disturbs nobody', async () => {
    const emit = () => Promise.reject(new Error('forbidden'));
    createEventSink({ emit }, { now: () => 0, log: silentLog, onDropped: () => undefined }).emit(
      workload('a'),
      event('x'),
    );
    await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('the world', () => {
  test('an event older than what is known is ignored, one of a workload made again is not', () => {
    const world = new World();
    world.setWorkload(workload('a', { replicas: 1, resourceVersion: '9' }));
    world.noteScaled(workload('a', { replicas: 1 }), 3, '10');
    world.setWorkload(workload('a', { replicas: 1, resourceVersion: '9' }));
    assert.equal(world.workload('ns/a')?.replicas, 3);
    world.setWorkload(workload('a', { replicas: 0, resourceVersion: '8', uid: 'new' }));
    assert.equal(world.workload('ns/a')?.replicas, 0);
  });

  test('resource versions are compared as numbers, and not at all when they are none', () => {
    const world = new World();
    world.setWorkload(workload('a', { replicas: 1, resourceVersion: '99' }));
    world.setWorkload(workload('a', { replicas: 2, resourceVersion: '100' }));
    assert.equal(world.workload('ns/a')?.replicas, 2);
    world.setWorkload(workload('a', { replicas: 3, resourceVersion: 'x' }));
    assert.equal(world.workload('ns/a')?.replicas, 3);
  });

  test('of two workloads with one name the annotated one is the function', () => {
    const world = new World();
    const set = workload('a', { kind: 'StatefulSet' });
    world.setWorkload(workload('a', { fn: undefined }));
    world.setWorkload(set);
    assert.equal(world.workload('ns/a')?.kind, 'StatefulSet');
    world.deleteWorkload('StatefulSet', 'ns/a');
    assert.equal(world.workload('ns/a')?.kind, 'Deployment');
    world.deleteWorkload('Deployment', 'ns/a');
    assert.equal(world.workload('ns/a'), undefined);
  });

  test('what a patch of ours made does not bring back what the watch has taken away meanwhile', () => {
    const world = new World();
    const before = workload('a', { resourceVersion: '5' });
    world.setWorkload(before);
    world.deleteWorkload('Deployment', 'ns/a');
    world.noteScaled(before, 3, '6');
    assert.equal(world.workload('ns/a'), undefined);
    const fn = { ...before.fn } as Workload['fn'];
    world.setWorkload({ ...before, fn, resourceVersion: '7' });
    world.noteScaled(before, 3, '8');
    assert.equal(world.workload('ns/a')?.fn, fn, 'newer annotations stay');
    assert.equal(world.workload('ns/a')?.replicas, 3);
    world.noteScaled(before, 9, '6');
    assert.equal(world.workload('ns/a')?.replicas, 3, 'an older answer comes too late');
  });

  test('why a StatefulSet has no pods counts until it has them, and only for this very set', () => {
    const world = new World();
    const set = (created: number, resourceVersion: string) =>
      workload('db', { kind: 'StatefulSet', replicas: 2, createdReplicas: created, resourceVersion });
    world.setWorkload(set(1, '5'));
    const { uid } = set(1, '5');
    const message = 'forbidden: exceeded quota: full';
    const failure = { uid, namespace: 'ns', name: 'db', message };
    assert.equal(world.noteCreationFailure({ ...failure, uid: 'another' }), undefined);
    assert.ok(world.noteCreationFailure(failure));
    assert.equal(world.creationTroubleOf(set(1, '5'))?.kind, 'quota');
    world.setWorkload(set(2, '6'));
    assert.equal(world.creationTroubleOf(set(2, '6')), undefined);
    assert.equal(world.noteCreationFailure(failure), undefined, 'it has its pods');
  });

  test('an autoscaler that is deleted takes away only itself', () => {
    const world = new World();
    const autoscaler = (key: string) => ({ key, ownerKey: 'Deployment/ns/a', minReplicas: 2 });
    world.setAutoscaler(autoscaler('ns/one'));
    world.setAutoscaler(autoscaler('ns/two'));
    world.deleteAutoscaler('ns/one');
    assert.equal(world.autoscalerOf(workload('a'))?.key, 'ns/two');
    world.deleteAutoscaler('ns/two');
    assert.equal(world.autoscalerOf(workload('a')), undefined);
  });

  test('an autoscaler that is given another workload leaves the first one', () => {
    const world = new World();
    const of = (name: string) => ({ key: 'ns/hpa', ownerKey: `Deployment/ns/${name}`, minReplicas: 2 });
    world.setAutoscaler(of('a'));
    world.setAutoscaler(of('b'));
    assert.equal(world.autoscalerOf(workload('a')), undefined);
    assert.equal(world.autoscalerOf(workload('b'))?.minReplicas, 2);
    world.deleteAutoscaler('ns/hpa');
    assert.equal(world.autoscalerOf(workload('b')), undefined);
  });
});

describe('objects', () => {
  test('annotations are read again only when they, the identity or the port changed', () => {
    const first = readWorkload('Deployment', deployment('a'), undefined);
    const scaled = deployment('a', { spec: { ...deployment('a').spec!, replicas: 7 } });
    const second = readWorkload('Deployment', scaled, first);
    assert.equal(second.replicas, 7);
    assert.equal(second.fn, first.fn);
    const other = deployment('a');
    other.spec!.template.metadata!.annotations!['SlimFaas/ReplicasMin'] = '2';
    assert.equal(readWorkload('Deployment', other, first).fn?.spec.replicasMin, 2);
  });

  test('a quota that is used up is a trouble of the workload', () => {
    const condition = { type: 'ReplicaFailure', status: 'True', message: 'exceeded quota: q' };
    const object = deployment('a', { status: { conditions: [condition] } });
    assert.deepEqual(readWorkload('Deployment', object, undefined).trouble, {
      kind: 'quota',
      message: 'exceeded quota: q',
    });
  });

  test('a pod that an admission refuses is another trouble than a quota', () => {
    const condition = {
      type: 'ReplicaFailure',
      status: 'True',
      message: 'violates PodSecurity "restricted"',
    };
    const object = deployment('a', { status: { conditions: [condition] } });
    assert.equal(readWorkload('Deployment', object, undefined).trouble?.kind, 'refused');
  });

  const pod = (status: V1Pod['status'], meta: object = {}): V1Pod => ({
    metadata: {
      name: 'a-h-1',
      namespace: 'ns',
      labels: { 'pod-template-hash': 'h' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'a-h', uid: 'r', controller: true },
      ],
      ...meta,
    },
    ...(status ? { status } : {}),
  });
  const waiting = (reason: string) => ({
    containerStatuses: [
      {
        name: 'c',
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: { waiting: { reason, message: 'm' } },
      },
    ],
  });

  for (const [reason, kind] of [
    ['ImagePullBackOff', 'image-pull'],
    ['ErrImagePull', 'image-pull'],
    ['CrashLoopBackOff', 'crash-loop'],
    ['CreateContainerConfigError', 'container-config'],
  ] as const)
    test(`a container that waits for ${reason} is ${kind}`, () => {
      assert.equal(podOf(pod(waiting(reason)))?.trouble?.kind, kind);
    });

  const restarted = (ready: boolean, exitCode: number, restartCount = 2): V1Pod['status'] => ({
    containerStatuses: [
      {
        ...waiting('').containerStatuses[0]!,
        ready,
        restartCount,
        state: { running: {} },
        lastState: { terminated: { exitCode, reason: 'Error' } },
      },
    ],
  });

  test('between two crashes a container runs for a moment: it is cured when it is ready', () => {
    assert.equal(podOf(pod(restarted(false, 1)))?.trouble?.kind, 'crash-loop');
    assert.equal(podOf(pod(restarted(true, 1)))?.trouble, undefined);
  });

  test('a pod that no node fits', () => {
    const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3' };
    assert.equal(podOf(pod({ conditions: [condition] }))?.trouble?.kind, 'unschedulable');
  });

  test('a pod that is deleted or has ended is ending, and one that has ended is not ready', () => {
    const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
    assert.equal(podOf(pod(ready, { deletionTimestamp: new Date() }))?.isEnding, true);
    const ended = podOf(pod({ ...ready, phase: 'Succeeded' }));
    assert.deepEqual([ended?.isEnding, ended?.isReady], [true, false]);
    assert.equal(podOf(pod({ ...ready, phase: 'Running' }))?.isReady, true);
  });

  test('a bare pod belongs to no workload of ours', () => {
    assert.equal(podOf(pod({}, { ownerReferences: [], labels: {} })), undefined);
  });
});

test('a sidecar that asks is told whether Kubernetes calls its pod ready; of an unknown pod nothing is said', () => {
  const workload = {} as Workload;
  const pods = new Map([
    ['up', { isReady: true } as Pod],
    ['starting', { isReady: false } as Pod],
  ]);
  const world = {
    workload: (key: string) => (key === 'ns/fn' ? workload : undefined),
    podsOf: () => pods,
  };
  const ask = (name: string, pod: string) => {
    const asker = { id: { namespace: 'ns', name }, pod };
    const answers = [
      answerPodReady(world, asker),
      answerSharedPodReady(world, encodePodReadyQuestion(asker), silentLog),
    ].map((answer) => answer && decodePodReadyAnswer(answer));
    assert.equal(answers[0], answers[1], 'older sidecars hear the same');
    return answers[0];
  };
  assert.deepEqual([ask('fn', 'up'), ask('fn', 'starting')], [true, false]);
  assert.deepEqual([ask('fn', 'other'), ask('other', 'up')], [undefined, undefined]);
  assert.equal(answerSharedPodReady(world, Buffer.from('nonsense'), silentLog), undefined);
});
