/** What the scaler says of canaries that get no calls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { FunctionInfo } from '../../../common/function/spec.ts';
import { canaryFaults } from '../../../scaler/faults/canary-faults.ts';
import type { Workload } from '../../../scaler/world/kube-objects.ts';

function fn(name: string, of?: string, weight = 0, namespace = 'default'): FunctionInfo {
  const canary: Record<string, string> =
    of === undefined ? {} : { 'slimfaas.dev/canary-of': of, 'slimfaas.dev/weight': String(weight) };
  const { spec } = parseAnnotations({ 'SlimFaas/Function': 'true', ...canary });
  return { id: { namespace, name }, spec } as FunctionInfo;
}

test('unknown, itself, a canary, another namespace’s, and more than 100 in all, until they are mended', () => {
  const all = [
    fn('shop'),
    fn('good', 'shop', 60),
    fn('late', 'shop', 41),
    fn('lost', 'nobody', 1),
    fn('self', 'self', 1),
    fn('inner', 'good', 1),
    fn('far', 'shop', 1, 'other'),
  ];
  const world = {
    specVersion: 1,
    all,
    workloads() {
      return this.all
        .map((each) => ({ key: `${each.id.namespace}/${each.id.name}`, fn: each }) as Workload)
        .values();
    },
  };
  const faultsOf = canaryFaults(world);
  const told = Object.fromEntries(
    all.map((each) => [each.id.name, faultsOf(each).map(({ message }) => message)]),
  );
  const message = (of: string, problem: string, inForce = 'ignored') => [
    `slimfaas.dev/canary-of: "${of}": ${problem}; in force: ${inForce}`,
  ];
  assert.deepEqual(told, {
    shop: [],
    good: [],
    late: message('shop', 'the weights of the canaries of shop are above 100 with it', 'what is left of 100'),
    lost: message('nobody', 'there is no function "nobody" in namespace default'),
    self: message('self', 'it names itself'),
    inner: message('good', 'good is a canary itself'),
    far: message('shop', 'there is no function "shop" in namespace other'),
  });
  world.all = [fn('shop'), fn('late', 'shop', 41)];
  world.specVersion = 2;
  assert.deepEqual(faultsOf(world.all[1] as FunctionInfo), []);
});

test('a fallback that is not there, or is the function itself', () => {
  const named = (name: string, other: string) => {
    const fallback = { 'slimfaas.dev/fallback': JSON.stringify({ Function: other }) };
    const { spec } = parseAnnotations({ 'SlimFaas/Function': 'true', ...fallback });
    return { id: { namespace: 'default', name }, spec } as FunctionInfo;
  };
  const all = [fn('sorry'), named('good', 'sorry'), named('lost', 'nobody'), named('self', 'self')];
  const workloads = () =>
    all.map((each) => ({ key: `default/${each.id.name}`, fn: each }) as Workload).values();
  const faultsOf = canaryFaults({ specVersion: 1, workloads });
  assert.deepEqual(
    all.map((each) =>
      faultsOf(each)
        .map(({ message }) => message)
        .join(),
    ),
    [
      '',
      '',
      'slimfaas.dev/fallback: "nobody": there is no function "nobody" in namespace default; in force: no fallback',
      'slimfaas.dev/fallback: "self": it names itself; in force: no fallback',
    ],
  );
});
