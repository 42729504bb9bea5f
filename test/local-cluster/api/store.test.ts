// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Store } from '../../../packages/local-cluster/api/objects/store.ts';
import type { StoreChange } from '../../../packages/local-cluster/api/objects/store.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';

function pod(name: string, rest: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'n' },
    ...rest,
  } as unknown as KubeObject;
}

test('every change has its own, higher version, whatever the kind', () => {
  const store = new Store();
  const versions = [
    store.put('pods', pod('a')),
    store.put('leases', pod('l')),
    store.put('pods', pod('a', { x: 1 })),
    store.remove('pods', 'n', 'a')!,
  ].map(({ metadata }) => Number(metadata.resourceVersion));
  assert.deepEqual(
    versions,
    versions.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(versions).size, 4);
  assert.equal(store.version, versions.at(-1));
});

test('what is stored cannot be changed by whoever holds it', () => {
  const store = new Store();
  const stored = store.put('pods', pod('a', { spec: { containers: [{ name: 'x' }] } }));
  assert.throws(() => (stored.metadata.name = 'b'), TypeError);
  assert.throws(() => stored.spec.containers.push({}), TypeError);
  assert.equal(store.get('pods', 'n', 'a'), stored);
});

test('lists are in order of namespace and name, of one namespace or all', () => {
  const store = new Store();
  for (const name of ['c', 'a', 'b']) store.put('pods', pod(name));
  store.put('pods', { ...pod('a'), metadata: { ...pod('a').metadata, namespace: 'm' } });
  const names = (objects: KubeObject[]) =>
    objects.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  assert.deepEqual(names(store.list('pods', 'n')), ['n/a', 'n/b', 'n/c']);
  assert.deepEqual(names(store.list('pods')), ['m/a', 'n/a', 'n/b', 'n/c']);
  assert.deepEqual(store.list('pods', 'x'), []);
});

test('listeners hear each change in order, with what was there before, until they are released', () => {
  const store = new Store();
  const heard: StoreChange[] = [];
  const release = store.subscribe('pods', (event) => heard.push(event));
  store.put('pods', pod('a'));
  store.put('pods', pod('a', { x: 1 }));
  store.put('nodes', pod('n'));
  store.remove('pods', 'n', 'a');
  release();
  release();
  store.put('pods', pod('b'));
  assert.deepEqual(
    heard.map(({ type, previous }) => [type, previous?.x]),
    [
      ['ADDED', undefined],
      ['MODIFIED', undefined],
      ['DELETED', 1],
    ],
  );
  assert.equal(heard[2]?.object.metadata.resourceVersion, String(heard[2]?.version));
});

test('a listener that writes lets the others hear the cause before the effect', () => {
  const store = new Store();
  const heard: string[] = [];
  store.subscribe('pods', ({ object }) => {
    if (object.metadata.name === 'cause') store.put('pods', pod('effect'));
  });
  store.subscribe('pods', ({ object }) => heard.push(object.metadata.name));
  store.put('pods', pod('cause'));
  assert.deepEqual(heard, ['cause', 'effect']);
});

test('history resumes after a version and says 410 where it no longer reaches', () => {
  const store = new Store();
  const first = Number(store.put('pods', pod('a')).metadata.resourceVersion);
  store.put('leases', pod('l'));
  store.put('pods', pod('b'));
  assert.deepEqual(
    store.eventsAfter('pods', first).map(({ object }) => object.metadata.name),
    ['b'],
  );
  assert.deepEqual(store.eventsAfter('pods', store.version), []);

  for (let index = 0; index < 2_100; index += 1) store.put('pods', pod('b', { index }));
  assert.throws(() => store.eventsAfter('pods', first), { code: 410, reason: 'Expired' });
  assert.equal(store.eventsAfter('pods', store.version - 10).length, 10);
  assert.equal(store.eventsAfter('leases', first).length, 1, 'a busy kind does not age a quiet one');
});

test('forgotten history: every version handed out before is too old, a new one is not', () => {
  const store = new Store();
  store.put('pods', pod('a'));
  const { version } = store;
  store.forgetHistory();
  assert.throws(() => store.eventsAfter('pods', version), { code: 410 });
  assert.throws(() => store.eventsAfter('services', version), { code: 410 }, 'of kinds never seen too');
  assert.deepEqual(store.eventsAfter('pods', store.version), []);
});
