import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError } from '../../../packages/local-cluster/api/objects/api-errors.ts';
import { applyPatch, mergePatch } from '../../../packages/local-cluster/api/verbs/patches.ts';
import { strategicMerge } from '../../../packages/local-cluster/api/verbs/strategic-merge.ts';

describe('merge patch (the examples of RFC 7386, appendix A)', () => {
  const cases: [target: unknown, patch: unknown, result: unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'foo' }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of cases) {
    test(`${JSON.stringify(target)} + ${JSON.stringify(patch)}`, () => {
      const before = structuredClone(target);
      assert.deepEqual(mergePatch(target, patch), result);
      assert.deepEqual(target, before, 'the target is left alone');
    });
  }
});

describe('strategic merge patch', () => {
  const cases: [what: string, target: object, patch: object, result: object][] = [
    [
      'containers are merged by name',
      {
        containers: [
          { name: 'a', image: '1' },
          { name: 'b', image: '1' },
        ],
      },
      { containers: [{ name: 'b', image: '2' }] },
      {
        containers: [
          { name: 'a', image: '1' },
          { name: 'b', image: '2' },
        ],
      },
    ],
    [
      'a new container is appended',
      { containers: [{ name: 'a' }] },
      { containers: [{ name: 'b' }] },
      { containers: [{ name: 'a' }, { name: 'b' }] },
    ],
    [
      '$patch: delete removes one item',
      { containers: [{ name: 'a' }, { name: 'b' }] },
      { containers: [{ name: 'a', $patch: 'delete' }] },
      { containers: [{ name: 'b' }] },
    ],
    [
      '$patch: replace as an item replaces the list',
      { containers: [{ name: 'a' }] },
      { containers: [{ $patch: 'replace' }, { name: 'c' }] },
      { containers: [{ name: 'c' }] },
    ],
    [
      '$patch: replace in an object replaces the object',
      { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } },
      { strategy: { $patch: 'replace', type: 'Recreate' } },
      { strategy: { type: 'Recreate' } },
    ],
    [
      '$patch: delete in an object removes it',
      { strategy: { type: 'x' } },
      { strategy: { $patch: 'delete' } },
      {},
    ],
    [
      'env by name, null removes a member',
      { env: [{ name: 'A', value: '1' }] },
      { env: [{ name: 'A', value: null, valueFrom: { x: 1 } }] },
      { env: [{ name: 'A', valueFrom: { x: 1 } }] },
    ],
    [
      'the ports of a container by containerPort',
      { ports: [{ containerPort: 80, name: 'http' }] },
      { ports: [{ containerPort: 81 }] },
      { ports: [{ containerPort: 80, name: 'http' }, { containerPort: 81 }] },
    ],
    [
      'the ports of a service by port',
      { ports: [{ port: 80, targetPort: 1 }] },
      { ports: [{ port: 80, targetPort: 2 }] },
      { ports: [{ port: 80, targetPort: 2 }] },
    ],
    [
      'volume mounts by path',
      { volumeMounts: [{ mountPath: '/a', name: 'x' }] },
      { volumeMounts: [{ mountPath: '/a', name: 'y' }] },
      { volumeMounts: [{ mountPath: '/a', name: 'y' }] },
    ],
    [
      'conditions by type',
      {
        conditions: [
          { type: 'Ready', status: 'False' },
          { type: 'X', status: 'True' },
        ],
      },
      { conditions: [{ type: 'Ready', status: 'True' }] },
      {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'X', status: 'True' },
        ],
      },
    ],
    [
      'webhooks by name',
      { webhooks: [{ name: 'a.b.c', clientConfig: { url: 'u' } }] },
      { webhooks: [{ name: 'a.b.c', clientConfig: { caBundle: 'x' } }] },
      { webhooks: [{ name: 'a.b.c', clientConfig: { url: 'u', caBundle: 'x' } }] },
    ],
    [
      'tolerations are atomic',
      { tolerations: [{ key: 'a' }] },
      { tolerations: [{ key: 'b' }] },
      { tolerations: [{ key: 'b' }] },
    ],
    ['args are atomic', { args: ['a', 'b'] }, { args: ['c'] }, { args: ['c'] }],
    ['finalizers are a set', { finalizers: ['a'] }, { finalizers: ['b', 'a'] }, { finalizers: ['a', 'b'] }],
    [
      '$deleteFromPrimitiveList takes from a set',
      { finalizers: ['a', 'b'] },
      { '$deleteFromPrimitiveList/finalizers': ['a'] },
      { finalizers: ['b'] },
    ],
    [
      '$retainKeys keeps only what it names',
      { volumes: [{ name: 'v', emptyDir: {} }] },
      { volumes: [{ name: 'v', $retainKeys: ['name', 'secret'], secret: { secretName: 's' } }] },
      { volumes: [{ name: 'v', secret: { secretName: 's' } }] },
    ],
    [
      '$setElementOrder orders; what only the server has stays where it was',
      { containers: [{ name: 'injected' }, { name: 'a' }, { name: 'b' }] },
      {
        '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }],
        containers: [{ name: 'a', image: '2' }],
      },
      { containers: [{ name: 'injected' }, { name: 'b' }, { name: 'a', image: '2' }] },
    ],
    [
      'maps merge, null removes',
      { labels: { a: '1', b: '2' } },
      { labels: { a: null, c: '3' } },
      { labels: { b: '2', c: '3' } },
    ],
  ];
  for (const [what, target, patch, result] of cases) {
    test(what, () => {
      const before = structuredClone(target);
      assert.deepEqual(strategicMerge({ ...target }, { ...patch }), result);
      assert.deepEqual(target, before, 'the target is left alone');
    });
  }

  test('an item without its merge key is refused, and the key is named', () => {
    assert.throws(
      () => strategicMerge({ containers: [] }, { containers: [{ image: 'x' }] }),
      (error: unknown) =>
        error instanceof ApiError && error.code === 400 && /merge key: name/.test(error.message),
    );
  });
});

describe('patches by content type', () => {
  test('a JSON patch is applied to a copy', () => {
    const target = { a: [1, 2] };
    const patch = [
      { op: 'test', path: '/a/0', value: 1 },
      { op: 'add', path: '/a/-', value: 3 },
      { op: 'remove', path: '/a/0' },
    ];
    assert.deepEqual(applyPatch('application/json-patch+json', target, patch), { a: [2, 3] });
    assert.deepEqual(target, { a: [1, 2] });
  });

  const refused: [what: string, type: string, patch: unknown, code: number, message: RegExp][] = [
    ['a failed test', 'application/json-patch+json', [{ op: 'test', path: '/a', value: 2 }], 422, /rejected/],
    [
      'a path that is not there',
      'application/json-patch+json',
      [{ op: 'remove', path: '/x' }],
      422,
      /rejected/,
    ],
    ['a JSON patch that is no list', 'application/json-patch+json', {}, 400, /array of operations/],
    ['a merge patch that is a list', 'application/merge-patch+json', [], 400, /is an object/],
    ['server-side apply', 'application/apply-patch+yaml', {}, 415, /client-side apply/],
    ['a type nobody knows', 'text/plain', {}, 415, /application\/merge-patch\+json/],
  ];
  for (const [what, type, patch, code, message] of refused) {
    test(`${what} is refused with ${code}`, () => {
      assert.throws(() => applyPatch(type, { a: 1 }, patch), { code, message });
    });
  }
});
