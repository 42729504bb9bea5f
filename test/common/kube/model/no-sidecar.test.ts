/** Which workloads get pods without a sidecar, said before they have any. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Deployment, V1PodSpec } from '../../../../common/kube/client.ts';
import { functionOfWorkload } from '../../../../common/kube/model/function-info.ts';
import { NAMESPACES_NOT_INJECTED } from '../../../../common/kube/model/no-sidecar.ts';

function infoOf(pod: Partial<V1PodSpec>, annotations: Record<string, string> = {}, namespace = 'shop') {
  const workload: V1Deployment = {
    metadata: { name: 'fn', namespace },
    spec: {
      selector: {},
      template: {
        metadata: { annotations: { 'SlimFaas/Function': 'true', ...annotations } },
        spec: { containers: [{ name: 'app' }], ...pod },
      },
    },
  };
  return functionOfWorkload('Deployment', workload);
}

test('a function whose pods get no sidecar has the reason and a fault', () => {
  const cases: [ReturnType<typeof infoOf>, RegExp][] = [
    [infoOf({ hostNetwork: true }), /hostNetwork/],
    [infoOf({}, { 'slimfaas.dev/inject': 'false' }), /inject is "false"/],
    [infoOf({ os: { name: 'windows' } }), /Windows/],
    ...NAMESPACES_NOT_INJECTED.map(
      (namespace) => [infoOf({}, {}, namespace), new RegExp(`${namespace} is excluded`)] as never,
    ),
  ];
  for (const [info, why] of cases) {
    assert.match(info?.noSidecar ?? '', why);
    assert.match(info?.faults[0]?.problem ?? '', why);
    assert.match(info?.faults[0]?.inForce ?? '', /jobs and events are refused/);
  }
});

test('one that is injected, by the webhook or by hand, has neither', () => {
  const sidecar = { name: 'slimfaas-sidecar' };
  for (const info of [
    infoOf({}),
    infoOf({ initContainers: [sidecar] }, { 'slimfaas.dev/inject': 'false' }),
    infoOf({ containers: [{ name: 'app' }, sidecar] }, {}, 'kube-system'),
  ]) {
    assert.equal(info?.noSidecar, undefined);
    assert.deepEqual(info?.faults, []);
  }
});
