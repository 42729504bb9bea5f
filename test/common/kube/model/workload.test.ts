/** A Deployment or StatefulSet, read once for every part. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1Deployment, V1PodSpec } from '../../../../common/kube/client.ts';
import { FailedCreations } from '../../../../common/kube/model/failed-creations.ts';
import { lacksPods, readWorkload } from '../../../../common/kube/model/workload.ts';

const META = { name: 'fn', namespace: 'shop', uid: 'u', generation: 3, resourceVersion: '7' };

function deployment(pod: Partial<V1PodSpec> = {}, changes: Partial<V1Deployment> = {}): V1Deployment {
  const containers = [{ name: 'app', ports: [{ containerPort: 8080 }, { containerPort: 9090 }] }];
  return {
    metadata: META,
    spec: {
      replicas: 2,
      selector: {},
      template: {
        metadata: { annotations: { 'SlimFaas/Function': 'true' } },
        spec: { containers, ...pod },
      },
    },
    ...changes,
  };
}

const read = (object: V1Deployment) => readWorkload('Deployment', object);

describe('readWorkload: counts and conditions', () => {
  it('what it is to have, what exists, what is ready', () => {
    const all = read(deployment({}, { status: { replicas: 2, readyReplicas: 1 } }));
    assert.deepEqual([all.replicas, all.createdReplicas, all.readyReplicas], [2, 2, 1]);
    assert.equal(lacksPods(all), false);
    const { key, ownerKey } = all;
    assert.deepEqual([key, ownerKey], ['shop/fn', 'Deployment/shop/fn']);
  });

  it('without a status nothing exists, and without a count it is to have one', () => {
    const bare = read({ metadata: META });
    assert.deepEqual([bare.replicas, bare.createdReplicas, bare.readyReplicas], [1, 0, 0]);
    assert.deepEqual([lacksPods(bare), bare.fn, bare.trouble], [true, undefined, undefined]);
  });

  it('observed: its controller has seen this generation, and nobody holds its rollout', () => {
    const status = { observedGeneration: 3 };
    assert.equal(read(deployment({}, { status })).isObserved, true);
    assert.equal(read(deployment({}, { status: { observedGeneration: 2 } })).isObserved, false);
    const { spec } = deployment();
    assert.ok(spec);
    assert.equal(read(deployment({}, { status, spec: { ...spec, paused: true } })).isObserved, false);
  });

  it('a failed creation has its message, else its reason', () => {
    const troubleOf = (condition: object) =>
      read(
        deployment(
          {},
          { status: { conditions: [{ type: 'ReplicaFailure', status: 'True', ...condition }] } },
        ),
      ).trouble;
    assert.deepEqual(troubleOf({ message: 'exceeded quota: small' }), {
      kind: 'quota',
      message: 'exceeded quota: small',
    });
    assert.deepEqual(troubleOf({ reason: 'FailedCreate' }), { kind: 'refused', message: 'FailedCreate' });
    assert.deepEqual(troubleOf({}), { kind: 'refused', message: 'ReplicaFailure' });
    assert.equal(troubleOf({ status: 'False', message: 'exceeded quota' }), undefined);
  });
});

describe('readWorkload: the function is read again when what it was read from has changed', () => {
  const first = read(deployment());

  it('not for a new count, status or version', () => {
    const metadata = { ...META, resourceVersion: '8', generation: 4 };
    const scaled = deployment({}, { metadata, status: { replicas: 5 } });
    const next = readWorkload('Deployment', scaled, first);
    assert.equal(next.fn, first.fn);
    assert.equal(next.createdReplicas, 5);
  });

  it('for another port, though the first port of the manifest is the same', () => {
    const ports = [{ containerPort: 8080 }, { containerPort: 9090, name: 'http' }];
    const named = readWorkload('Deployment', deployment({ containers: [{ name: 'app', ports }] }), first);
    assert.deepEqual([first.fn?.port, named.fn?.port], [8080, 9090]);
  });

  it('for a manifest that gets no sidecar now, or has one by hand', () => {
    const onHost = readWorkload('Deployment', deployment({ hostNetwork: true }), first);
    assert.match(onHost.fn?.noSidecar ?? '', /hostNetwork/);
    const windows = deployment({ nodeSelector: { 'kubernetes.io/os': 'windows' } });
    assert.match(readWorkload('Deployment', windows, first).fn?.noSidecar ?? '', /Windows/);
    const injected = deployment({ hostNetwork: true, initContainers: [{ name: 'slimfaas-sidecar' }] });
    assert.equal(readWorkload('Deployment', injected, onHost).fn?.noSidecar, undefined);
  });

  it('for one that was deleted and made again', () => {
    const again = deployment({}, { metadata: { ...META, uid: 'other' } });
    assert.equal(readWorkload('Deployment', again, first).fn?.uid, 'other');
  });
});

describe('failed creations of StatefulSets', () => {
  const set = (created: number, uid = 'u') =>
    readWorkload('StatefulSet', {
      metadata: { ...META, uid },
      spec: { replicas: 2, selector: {}, serviceName: '', template: {} },
      status: { replicas: created },
    });
  const failure = { uid: 'u', namespace: 'shop', name: 'fn', message: 'exceeded quota: small' };

  it('count until the set has its pods', () => {
    const failed = new FailedCreations();
    assert.equal(failed.note(failure, set(1)), true);
    failed.look(set(1));
    assert.equal(failed.troubleOf(set(1))?.kind, 'quota');
    failed.look(set(2));
    assert.equal(failed.troubleOf(set(1)), undefined);
    assert.equal(failed.note(failure, set(2)), false, 'late: the pods are there');
  });

  it('are those of this very set', () => {
    const failed = new FailedCreations();
    assert.equal(failed.note({ ...failure, uid: 'former' }, set(1)), false);
    failed.note(failure, set(1));
    assert.equal(failed.troubleOf(set(1, 'new')), undefined);
    failed.look(set(1, 'new'));
    assert.equal(failed.troubleOf(set(1)), undefined);
    failed.note(failure, set(1));
    failed.forget(set(1).ownerKey);
    assert.equal(failed.troubleOf(set(1)), undefined);
  });
});
