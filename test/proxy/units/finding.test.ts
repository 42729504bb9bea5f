import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseFunctionTarget, pathOnly } from '../../../proxy/functions/function-path.ts';
import { FunctionTable } from '../../../proxy/functions/function-table.ts';
import type { FunctionView } from '../../../proxy/functions/function-view.ts';
import { viewBarePods, viewWorkload } from '../../../proxy/functions/function-view.ts';
import { readWorkload } from '../../../common/kube/model/workload.ts';
import { viewPod } from '../../../proxy/pods/pod-view.ts';
import { functionView, podView, specOf } from '../support/pods.ts';

test('the function’s segment is decoded once, the rest stays as it was written', () => {
  const parse = (url: string) => parseFunctionTarget(url, '/function/');
  assert.deepEqual(parse('/function/fib'), { name: 'fib', path: '/', prefix: '/function/fib' });
  assert.deepEqual(parse('/function/fib?a=/b'), { name: 'fib', path: '/?a=/b', prefix: '/function/fib' });
  assert.deepEqual(parse('/function/f%2569b/%20'), {
    name: 'f%69b',
    path: '/%20',
    prefix: '/function/f%2569b',
  });
  assert.deepEqual(parse('/function/a%2Fb/c'), { name: 'a/b', path: '/c', prefix: '/function/a%2Fb' });
  for (const url of [
    '/function/',
    '/function//x',
    '/function',
    '/functions/x',
    '/function/%/x',
    '/function/?x',
  ])
    assert.equal(parse(url), undefined, url);
  assert.deepEqual(['/a?b?c', '/a', '?'].map(pathOnly), ['/a', '/a', '']);
});

test('property: prefix, name and path put together again are the target', () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,20}$/);
  const rest = fc.stringMatching(/^\/[!-~]{0,40}$/);
  fc.assert(
    fc.property(name, rest, (fn, path) => {
      const prefix = `/function/${fn}`;
      assert.deepEqual(parseFunctionTarget(prefix + path, '/function/'), { name: fn, path, prefix });
    }),
  );
});

class Entry {
  readonly id: FunctionView['id'];
  view: FunctionView;
  isSplit = false;
  isClosed = false;

  constructor(view: FunctionView) {
    this.id = view.id;
    this.view = view;
  }

  update(view: FunctionView): void {
    this.view = view;
  }

  close(): void {
    this.isClosed = true;
  }
}

const at = (namespace: string, name: string, kind: FunctionView['kind'] = 'Deployment', replicas = 0) =>
  functionView({ id: { namespace, name }, kind, replicas });

function newTable(): FunctionTable<Entry> {
  return new FunctionTable('own', (view) => new Entry(view));
}

test('a name is looked up in the own namespace first, then split at its last dot', () => {
  const table = newTable();
  table.set(at('own', 'a'));
  table.set(at('shop', 'a'));
  table.set(at('own', 'a.shop'));
  table.set(at('shop', 'x.y'));
  const found = (name: string) => table.find(name)?.id;
  assert.deepEqual(found('a'), { namespace: 'own', name: 'a' });
  assert.deepEqual(found('a.shop'), { namespace: 'own', name: 'a.shop' });
  assert.deepEqual(found('a.own'), { namespace: 'own', name: 'a' });
  assert.deepEqual(found('x.y.shop'), { namespace: 'shop', name: 'x.y' });
  for (const name of ['', '.', '.own', 'a.', 'x.y', 'b', '__proto__'])
    assert.equal(found(name), undefined, name);
});

test('a change of a function keeps its entry; another kind of the same name is another entry', () => {
  const table = newTable();
  table.set(at('own', 'a', 'StatefulSet', 1));
  const set = table.find('a');
  table.set(at('own', 'a', 'StatefulSet', 2));
  assert.equal(table.find('a'), set);
  assert.equal(set?.view.replicas, 2);
  table.set(at('own', 'a', 'Deployment'));
  assert.equal(table.find('a')?.view.kind, 'Deployment');
  assert.equal(set.isClosed, true);
  table.remove('Deployment', { namespace: 'own', name: 'a' });
  assert.equal(table.find('a')?.view.replicas, 2, 'the other kind is there again');
  table.remove('StatefulSet', { namespace: 'own', name: 'a' });
  table.remove('StatefulSet', { namespace: 'own', name: 'a' });
  assert.deepEqual([table.find('a'), table.size], [undefined, 0]);
});

test('a workload is a function when its pod template says so; a failure to create pods is kept', () => {
  const workload = {
    metadata: { name: 'fib', namespace: 'own', uid: 'u' },
    spec: {
      replicas: 3,
      selector: {},
      template: { metadata: { annotations: { 'SlimFaas/Function': 'TRUE' } }, spec: { containers: [] } },
    },
    status: { conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'quota' }] },
  };
  const view = viewWorkload(readWorkload('Deployment', workload));
  assert.deepEqual([view?.replicas, view?.blocked, view?.owner.kind], [3, 'quota', 'Deployment']);
  const plain = { ...workload, spec: { ...workload.spec, template: { spec: { containers: [] } } } };
  assert.equal(viewWorkload(readWorkload('Deployment', plain)), undefined);
});

test('bare pods make a function by their own annotations', () => {
  const owner = { kind: 'Other', id: { namespace: 'own', name: 'agent' } } as const;
  const view = viewBarePods(owner, [podView({ spec: undefined }), podView({ spec: specOf() })]);
  assert.deepEqual([view?.kind, view?.replicas, view?.id.name], ['Pod', 2, 'agent']);
  assert.equal(viewBarePods(owner, []), undefined);
});

test('a pod as the proxy sees it: its port, its sidecar, its owner', () => {
  const pod = {
    metadata: {
      name: 'fib-abc-1',
      namespace: 'own',
      uid: 'u',
      labels: { 'pod-template-hash': 'abc' },
      annotations: { 'SlimFaas/Function': 'true', 'SlimFaas/NumberParallelRequestPerPod': '3' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'fib-abc', uid: 'r', controller: true },
      ],
    },
    spec: { hostNetwork: true, containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }] },
    status: { podIP: '10.1.2.3', phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  };
  const view = viewPod(pod);
  assert.deepEqual(view?.owner, { kind: 'Deployment', id: { namespace: 'own', name: 'fib' } });
  assert.deepEqual(
    [view.port, view.hasSidecar, view.isKubeReady, view.isHostNetwork],
    [8080, false, true, true],
  );
  assert.equal(view.spec?.parallelPerPod, 3);
  const containers = [...pod.spec.containers, { name: 'slimfaas-sidecar' }];
  const injected = viewPod({ ...pod, spec: { containers } });
  assert.deepEqual([injected?.port, injected?.hasSidecar], [15080, true]);
  assert.equal(viewPod({ metadata: { namespace: 'own' } }), undefined);
});
