/** Who depends on whom across namespaces: only where the workload that is depended on agrees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkloadKind } from '../../../common/function/spec.ts';
import { DependencyIndex } from '../../../scaler/faults/dependency-index.ts';
import { World } from '../../../scaler/world/world.ts';

const KEY = 'slimfaas.dev/depended-on-by';
let version = 0;

interface Written {
  readonly kind?: WorkloadKind;
  /** Of its pod template. */
  readonly annotations?: Record<string, string>;
  /** Of itself. */
  readonly own?: Record<string, string>;
}

function put(
  world: World,
  key: string,
  { kind = 'Deployment', annotations = {}, own = {} }: Written = {},
): void {
  const [namespace, name] = key.split('/');
  world.observe(kind, {
    metadata: {
      namespace: namespace as string,
      name: name as string,
      uid: key,
      resourceVersion: String(++version),
      annotations: own,
    },
    spec: { selector: {}, template: { metadata: { annotations } } },
  } as never);
}

const fn = (dependsOn: string) => ({
  annotations: { 'SlimFaas/Function': 'true', 'SlimFaas/DependsOn': dependsOn },
});

function faultsOf(world: World, index: DependencyIndex, key: string): string[] {
  const workload = world.workload(key);
  assert.ok(workload?.fn);
  return index.faultsOf(workload, workload.fn).map(({ message }) => message);
}

test('a workload of the same namespace needs nothing, by either name', () => {
  const world = new World();
  const index = new DependencyIndex(world);
  put(world, 'a/db', { kind: 'StatefulSet' });
  put(world, 'a/one', fn('db'));
  put(world, 'a/two', fn('db.a'));
  index.refresh();
  for (const key of ['a/one', 'a/two']) {
    assert.deepEqual(index.graph.dependenciesOf(key), ['a/db']);
    assert.deepEqual(faultsOf(world, index, key), []);
  }
});

test('one of another namespace counts once it agrees, and no longer when it takes that back', () => {
  const world = new World();
  const index = new DependencyIndex(world);
  put(world, 'data/db', { kind: 'StatefulSet' });
  put(world, 'a/one', fn('db.data'));
  index.refresh();
  assert.deepEqual(index.graph.dependenciesOf('a/one'), []);
  assert.deepEqual(faultsOf(world, index, 'a/one'), [
    'SlimFaas/DependsOn: data/db is in another namespace and lacks the annotation slimfaas.dev/depended-on-by: a/one; it is not waited for',
  ]);
  const agreed = (written: Written): boolean => {
    put(world, 'data/db', { kind: 'StatefulSet', ...written });
    index.refresh();
    const isKept = index.graph.dependenciesOf('a/one').length === 1;
    assert.equal(faultsOf(world, index, 'a/one').length, isKept ? 0 : 1);
    return isKept;
  };
  for (const text of ['a', 'a/one', 'a/*', '*', '*/one', 'b, a/one', ' x/y ,a ']) {
    assert.equal(agreed({ own: { [KEY]: text } }), true, `its own: ${text}`);
    assert.equal(agreed({ annotations: { [KEY]: text } }), true, `of its template: ${text}`);
    assert.equal(agreed({}), false, 'taken back');
  }
  for (const text of ['b', 'a/two', 'one', 'data', 'A', 'a/one/x', '', 'a/one*'])
    assert.equal(agreed({ own: { [KEY]: text } }), false, text);
});

test('a function that is depended on agrees as others do', () => {
  const world = new World();
  const index = new DependencyIndex(world);
  put(world, 'b/fn', { annotations: { 'SlimFaas/Function': 'true', [KEY]: 'a' } });
  put(world, 'a/one', fn('fn.b'));
  put(world, 'c/other', fn('fn.b'));
  index.refresh();
  assert.deepEqual(index.graph.dependentsOf('b/fn'), ['a/one']);
});
