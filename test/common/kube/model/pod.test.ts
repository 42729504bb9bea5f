/** A pod, read once for every part. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1Pod } from '../../../../common/kube/client.ts';
import { sidecarVariable } from '../../../../common/kube/model/containers.ts';
import { injectedVersion, readPod } from '../../../../common/kube/model/pod.ts';

const META = { name: 'fn-abc-1', namespace: 'shop' };
const READY = [{ type: 'Ready', status: 'True' }];

function read(status: V1Pod['status'], changes: Partial<V1Pod> = {}) {
  const pod = readPod({ metadata: META, status, ...changes });
  assert.ok(pod);
  return pod;
}

describe('readPod: ready, ending, ended', () => {
  it('ready is what Kubernetes says', () => {
    assert.equal(read({ phase: 'Running', conditions: READY }).isReady, true);
    assert.equal(read({ conditions: [{ type: 'Ready', status: 'False' }] }).isReady, false);
    assert.equal(read({ conditions: [{ type: 'Ready', status: 'Unknown' }] }).isReady, false);
    assert.equal(read({ conditions: [{ type: 'ContainersReady', status: 'True' }] }).isReady, false);
    assert.equal(read(undefined).isReady, false);
  });

  it('never of a pod that has ended, though its condition stands: an evicted pod keeps it', () => {
    for (const phase of ['Succeeded', 'Failed']) {
      const pod = read({ phase, conditions: READY });
      assert.deepEqual([pod.isReady, pod.isEnded, pod.isRunning], [false, true, false], phase);
    }
    for (const phase of ['Pending', 'Running', 'Unknown', undefined])
      assert.equal(read(phase === undefined ? {} : { phase }).isEnded, false, phase);
  });

  it('a deleted pod is terminating, and ready until it is not', () => {
    const metadata = { ...META, deletionTimestamp: new Date(0) };
    const pod = read({ phase: 'Running', conditions: READY }, { metadata });
    assert.deepEqual([pod.isTerminating, pod.isReady, pod.isEnded], [true, true, false]);
    assert.equal(read({}).isTerminating, false);
  });
});

describe('readPod: addresses', () => {
  it('one, two, or none yet, each once', () => {
    assert.deepEqual(read({ podIP: '10.0.0.1' }).addresses, ['10.0.0.1']);
    const both = [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }];
    assert.deepEqual(read({ podIP: '10.0.0.1', podIPs: both }).addresses, ['10.0.0.1', 'fd00::1']);
    assert.deepEqual(read({ podIPs: both }).addresses, ['10.0.0.1', 'fd00::1']);
    assert.deepEqual([read({ podIP: '' }).ip, read({ podIP: '' }).addresses], [undefined, []]);
    assert.deepEqual([read(undefined).ip, read(undefined).addresses], [undefined, []]);
  });

  it('of the node, where the pod is on its network', () => {
    assert.equal(read({}, { spec: { hostNetwork: true, containers: [] } }).isHostNetwork, true);
    assert.equal(read({}, { spec: { containers: [] } }).isHostNetwork, false);
  });
});

describe('readPod: the sidecar', () => {
  const env = [{ name: 'SLIMFAAS_DRAIN_TOKEN', value: 'secret' }];
  const sidecar = { name: 'slimfaas-sidecar', image: 'slimfaas:1', env };
  const app = { name: 'app', image: 'app' };

  it('beside the app or native, with its image and token', () => {
    const beside = read({}, { spec: { containers: [app, sidecar] } }).sidecar;
    assert.ok(beside);
    assert.deepEqual([beside.image, sidecarVariable(beside, 'drain-token')], ['slimfaas:1', 'secret']);
    assert.equal(sidecarVariable(beside, 'app-port'), undefined);
    const native = { initContainers: [sidecar], containers: [app] };
    assert.equal(read({}, { spec: native }).sidecar, sidecar);
    assert.equal(read({}, { spec: { containers: [app] } }).sidecar, undefined);
  });

  it('by the container: a status annotation copied from a live pod brings none', () => {
    const metadata = { ...META, annotations: { 'slimfaas.dev/status': '{"version":"0.1.0"}' } };
    assert.equal(read({}, { metadata, spec: { containers: [app] } }).sidecar, undefined);
  });

  it('says which version put it there, where the annotation does', () => {
    const versionOf = (status?: string) =>
      injectedVersion({ annotations: status === undefined ? {} : { 'slimfaas.dev/status': status } });
    assert.equal(versionOf('{"version":"0.1.0","hash":"x"}'), '0.1.0');
    for (const wrong of [undefined, '', 'yes', 'null', '{}', '[]', '3'])
      assert.equal(versionOf(wrong), undefined, wrong);
  });
});

describe('readPod: what a watch tells of a deleted pod', () => {
  it('its identity is enough', () => {
    const pod = readPod({ metadata: META });
    assert.deepEqual([pod?.namespace, pod?.name, pod?.owner.kind], ['shop', 'fn-abc-1', 'Other']);
  });

  it('without a name or a namespace it is none', () => {
    assert.equal(readPod({ metadata: { namespace: 'shop' } }), undefined);
    assert.equal(readPod({ metadata: { name: 'a' } }), undefined);
    assert.equal(readPod({}), undefined);
  });
});
