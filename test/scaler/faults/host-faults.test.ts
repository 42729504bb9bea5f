/** What the scaler says of hosts that a function does not get. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostPolicy } from '../../../common/function/hosts.ts';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { FunctionInfo } from '../../../common/function/spec.ts';
import { hostFaults } from '../../../scaler/faults/host-faults.ts';
import type { Workload } from '../../../scaler/world/kube-objects.ts';

function fn(namespace: string, name: string, hosts: string, createdAtMs: number): FunctionInfo {
  const { spec } = parseAnnotations({ 'SlimFaas/Function': 'true', 'slimfaas.dev/hosts': hosts });
  return { id: { namespace, name }, spec, createdAtMs } as FunctionInfo;
}

test('a forbidden host and one that an older function has are faults that say so, until they are mended', () => {
  const old = fn('a', 'old', 'x.example/api', 1);
  const young = fn('b', 'young', 'x.example/api, y.test, x.example', 2);
  const world = {
    specVersion: 1,
    all: [old, young],
    workloads() {
      return this.all
        .map((each) => ({ key: `${each.id.namespace}/${each.id.name}`, fn: each }) as Workload)
        .values();
    },
  };
  const faultsOf = hostFaults(world, new HostPolicy(['*.example', 'x.example']));
  assert.deepEqual(faultsOf(old), []);
  assert.deepEqual(
    faultsOf(young).map(({ message }) => message),
    [
      'slimfaas.dev/hosts: "x.example/api": old.a has it, which is older; in force: ignored',
      'slimfaas.dev/hosts: "y.test": namespace b may not claim it; --function-hosts of proxy and scaler says what may be claimed; in force: ignored',
    ],
  );
  world.all = [young];
  world.specVersion = 2;
  assert.equal(faultsOf(young).length, 1);
});
