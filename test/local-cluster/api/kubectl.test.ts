/** The real kubectl against the local API, as people use it in their first hour. */
// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { stringify } from 'yaml';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { kubectl, writeKubeconfig } from '../../helpers/kubectl.ts';
import type { KubectlResult } from '../../helpers/kubectl.ts';
import { call, deploymentManifest, podManifest, startLocalApi } from '../../helpers/local-api.ts';

const server = await startLocalApi(after);
const { api } = server;
const config = await writeKubeconfig(server.kubeconfig());
after(() => config.remove());

const raw = (args: readonly string[], input?: string) =>
  kubectl(config.path, args, input === undefined ? {} : { input });

/** For what must succeed. */
async function run(args: readonly string[], input?: string): Promise<KubectlResult> {
  const result = await raw(args, input);
  assert.equal(result.code, 0, `kubectl ${args.join(' ')}: ${result.stderr}`);
  return result;
}

/** Without the nulls and times of the server. */
function manifest(name: string, spec: object = {}): string {
  const object = deploymentManifest(name, spec);
  return stringify(object);
}

describe('kubectl', () => {
  test('knows the server and its kinds', async () => {
    assert.match((await run(['version'])).stdout, /Server Version: v1\.35/);
    const { stdout } = await run(['api-resources', '--no-headers']);
    for (const kind of ['Pod', 'Deployment', 'Lease', 'MutatingWebhookConfiguration', 'EndpointSlice']) {
      assert.match(stdout, new RegExp(`\\b${kind}\\b`));
    }
  });

  test('apply creates, then leaves alone, then changes', async () => {
    assert.match((await run(['apply', '-f', '-'], manifest('apply'))).stdout, /apply created/);
    assert.match((await run(['apply', '-f', '-'], manifest('apply'))).stdout, /apply unchanged/);
    const changed = manifest('apply', { replicas: 3 });
    assert.match((await run(['apply', '-f', '-'], changed)).stdout, /apply configured/);
    assert.equal(api.get('deployments', 'default', 'apply')?.spec.replicas, 3);
    await run(['apply', '-f', '-'], manifest('apply'));
    assert.equal(
      api.get('deployments', 'default', 'apply')?.spec.replicas,
      1,
      'what is taken out goes to its default',
    );
  });

  test('apply of an injected container leaves it in place', async () => {
    await run(['apply', '-f', '-'], manifest('injected'));
    await api.modify('deployments', 'default', 'injected', (draft) => {
      draft.spec.template.spec.containers.unshift({ name: 'other', image: 'other:1' });
    });
    const next = manifest('injected').replace('main:1', 'main:2');
    await run(['apply', '-f', '-'], next);
    const { containers } = api.get('deployments', 'default', 'injected')!.spec.template.spec;
    assert.deepEqual(
      containers.map((c: { image: string }) => c.image),
      ['other:1', 'main:2'],
    );
  });

  test('apply of several kinds, and delete of the same file', async () => {
    const objects = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'several' } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'sa', namespace: 'several' } },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 's', namespace: 'several' },
        stringData: { a: 'b' },
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'several:r' },
        rules: [],
      },
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: 'l', namespace: 'several' },
        spec: {},
      },
    ];
    const text = objects.map((object) => stringify(object)).join('---\n');
    assert.equal((await run(['apply', '-f', '-'], text)).stdout.match(/ created/g)?.length, 5);
    assert.equal(
      (await run(['apply', '-f', '-'], text)).stdout.match(/ unchanged/g)?.length,
      4,
      'but the plain text of the secret',
    );
    assert.equal((await run(['delete', '-f', '-'], text)).stdout.match(/ deleted/g)?.length, 5);
  });

  const mistakes: [what: string, manifest: string, message: RegExp][] = [
    [
      'a misspelt field',
      manifest('bad').replace('selector:', 'selektor:'),
      /strict decoding error: unknown field "spec\.selektor"/,
    ],
    [
      'text for a number',
      manifest('bad', { replicas: 'three' }),
      /cannot unmarshal string into field spec\.replicas of type int32/,
    ],
    ['a bad name', manifest('Bad_Name'), /metadata\.name: Invalid value: "Bad_Name"/],
    [
      'no image',
      manifest('bad').replace('image: main:1', "command: ['x']"),
      /containers\[0\]\.image: Required value/,
    ],
    [
      'a kind that is not there',
      'apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n',
      /no matches for kind "Thing" in version "example\.com\/v1"/,
    ],
  ];
  for (const [what, text, message] of mistakes) {
    test(`apply of ${what} fails and says so`, async () => {
      const { code, stderr } = await raw(['apply', '-f', '-'], text);
      assert.equal(code, 1);
      assert.match(stderr, message);
    });
  }

  test('scale, label, annotate, patch, set image, rollout restart', async () => {
    await run(['apply', '-f', '-'], manifest('verbs'));
    await run(['scale', 'deploy/verbs', '--replicas=4']);
    await run(['label', 'deploy', 'verbs', 'team=a']);
    await run(['annotate', 'deploy', 'verbs', 'note=b']);
    await run(['patch', 'deploy', 'verbs', '-p', '{"spec":{"minReadySeconds":5}}']);
    await run(['patch', 'deploy', 'verbs', '--type=merge', '-p', '{"spec":{"paused":true}}']);
    await run(['patch', 'deploy', 'verbs', '--type=json', '-p', '[{"op":"remove","path":"/spec/paused"}]']);
    await run(['set', 'image', 'deploy/verbs', 'main=main:2']);
    await run(['rollout', 'restart', 'deploy/verbs']);
    const { metadata, spec } = api.get('deployments', 'default', 'verbs')!;
    assert.deepEqual([spec.replicas, spec.minReadySeconds, spec.paused], [4, 5, undefined]);
    assert.deepEqual([metadata.labels?.team, metadata.annotations?.note], ['a', 'b']);
    assert.equal(spec.template.spec.containers[0].image, 'main:2');
    assert.ok(spec.template.metadata.annotations['kubectl.kubernetes.io/restartedAt']);
  });

  test('scale with a stale precondition fails', async () => {
    await run(['apply', '-f', '-'], manifest('stale'));
    const { code, stderr } = await raw(['scale', 'deploy/stale', '--replicas=2', '--resource-version=1']);
    assert.equal(code, 1);
    assert.match(stderr, /expected resource version/i);
  });

  test('get prints tables as a cluster does', async () => {
    await api.create(
      'pods',
      podManifest('table', {
        spec: {
          nodeName: 'n1',
          containers: [
            { name: 'a', image: 'a' },
            { name: 'b', image: 'b' },
          ],
        },
      }),
    );
    await api.modify(
      'pods',
      'default',
      'table',
      (draft) => {
        draft.status = {
          phase: 'Running',
          podIP: '127.0.0.9',
          containerStatuses: [
            { name: 'a', ready: true, restartCount: 0, state: { running: {} } },
            { name: 'b', ready: false, restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } } },
          ],
        };
      },
      'status',
    );
    const { stdout } = await run(['get', 'pods', 'table', '-o', 'wide']);
    assert.match(stdout, /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE/);
    assert.match(stdout, /table +1\/2 +CrashLoopBackOff +3 +\d+s +127\.0\.0\.9 +n1/);
    assert.match((await run(['get', 'ns'])).stdout, /default +Active/);
    assert.match((await run(['get', 'pods', '-A', '-l', 'nothing=here'])).stderr, /No resources found/);
    assert.equal((await run(['get', 'pods', 'table', '-o', 'jsonpath={.status.podIP}'])).stdout, '127.0.0.9');
    assert.match((await run(['get', 'all'])).stdout, /pod\/table/);
  });

  test('get -w shows changes as they come', async () => {
    await run(['apply', '-f', '-'], manifest('watched'));
    const watching = run(['get', 'deploy', 'watched', '-w', '--request-timeout=2s']);
    const changing = setInterval(() => {
      void api.modify('deployments', 'default', 'watched', (draft) => void (draft.spec.replicas += 1));
    }, 100);
    const { stdout } = await watching;
    clearInterval(changing);
    const lines = stdout.trim().split('\n');
    assert.ok(lines.length > 3, stdout);
    assert.equal(lines.filter((line) => line.startsWith('NAME')).length, 1);
  });

  test('describe shows a workload with its events', async () => {
    await run(['apply', '-f', '-'], manifest('described'));
    const { uid } = api.get('deployments', 'default', 'described')!.metadata;
    await api.create('events', {
      kind: 'Event',
      metadata: { name: 'described.1', namespace: 'default' } as KubeObject['metadata'],
      involvedObject: {
        kind: 'Deployment',
        name: 'described',
        namespace: 'default',
        uid,
        apiVersion: 'apps/v1',
      },
      reason: 'SlimFaasWake',
      message: 'woken by one waiting call',
      type: 'Normal',
      lastTimestamp: new Date().toISOString(),
    });
    const { stdout } = await run(['describe', 'deploy', 'described']);
    assert.match(stdout, /Replicas: +1 desired/);
    assert.match(stdout, /SlimFaasWake.*woken by one waiting call/);
  });

  test('rollout status and wait see the status that controllers write', async () => {
    await run(['apply', '-f', '-'], manifest('rolled'));
    const waiting = [
      run(['rollout', 'status', 'deploy/rolled', '--timeout=20s']),
      run(['wait', '--for=condition=Available', 'deploy/rolled', '--timeout=20s']),
    ];
    await api.modify(
      'deployments',
      'default',
      'rolled',
      (draft) => {
        const conditions = [{ type: 'Available', status: 'True' }];
        const counts = { replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 };
        draft.status = { observedGeneration: draft.metadata.generation, ...counts, conditions };
      },
      'status',
    );
    const [rollout, wait] = await Promise.all(waiting);
    assert.match(rollout!.stdout, /successfully rolled out/);
    assert.match(wait!.stdout, /condition met/);
  });

  test('delete waits for a pod to be gone', async () => {
    await api.create('pods', podManifest('ending', { spec: { nodeName: 'n1' } }));
    const release = api.watch('pods', (type, { metadata }) => {
      if (type !== 'MODIFIED' || metadata.name !== 'ending' || !metadata.deletionTimestamp) return;
      setTimeout(() => void api.delete('pods', 'default', 'ending', { gracePeriodSeconds: 0 }), 100);
    });
    await run(['delete', 'pod', 'ending']);
    release();
    assert.equal(api.get('pods', 'default', 'ending'), undefined);
    assert.match((await raw(['delete', 'pod', 'ending'])).stderr, /pods "ending" not found/);
  });

  test('cordon and drain evict what is on a node', async () => {
    const metadata = { name: 'n2' } as KubeObject['metadata'];
    await api.create('nodes', {
      kind: 'Node',
      metadata,
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    });
    await api.create('pods', podManifest('drained', { spec: { nodeName: 'n2' } }));
    await api.modify(
      'pods',
      'default',
      'drained',
      (draft) => void (draft.status.phase = 'Running'),
      'status',
    );
    const release = api.watch('pods', (type, pod) => {
      if (type !== 'MODIFIED' || pod.spec.nodeName !== 'n2' || !pod.metadata.deletionTimestamp) return;
      void api.delete('pods', 'default', pod.metadata.name, { gracePeriodSeconds: 0 });
    });
    const { stdout } = await run(['drain', 'n2', '--force']);
    release();
    assert.match(stdout, /pod\/drained evicted/);
    assert.match((await run(['get', 'nodes'])).stdout, /n2 +Ready,SchedulingDisabled/);
  });

  test('logs come from whoever runs the pods', async () => {
    await api.create('pods', podManifest('talks'));
    assert.match((await raw(['logs', 'talks'])).stderr, /waiting to start/);
    server.attachRuntime({
      readLogs: async function* (namespace, pod, container, { tailLines }) {
        yield Buffer.from(`${namespace}/${pod}/${container}\n`);
        yield Buffer.from(`tail ${tailLines}\n`);
      },
    });
    assert.equal((await run(['logs', 'talks', '--tail=5'])).stdout, 'default/talks/main\ntail 5\n');
    assert.match(
      (await raw(['logs', 'talks', '-c', 'ghost'])).stderr,
      /container ghost is not valid for pod talks/,
    );
  });

  test('what is not served says so', async () => {
    const sideEffects = await raw(['apply', '--server-side', '-f', '-'], manifest('ssa'));
    assert.match(sideEffects.stderr, /use client-side apply/);
    const exec = await raw(['exec', 'talks', '--', 'ls']);
    assert.equal(exec.code, 1);
  });

  test('commands that speak protobuf: create, auth can-i, create token', async () => {
    await run(['create', 'namespace', 'proto']);
    await run([
      'create',
      'deployment',
      'proto',
      '--image=x',
      '--replicas=2',
      '--port=80',
      '-n',
      'proto',
      '--',
      'a',
      'b',
    ]);
    const { spec } = api.get('deployments', 'proto', 'proto')!;
    assert.equal(spec.replicas, 2);
    const [container] = spec.template.spec.containers;
    assert.deepEqual([container.command, container.ports[0].containerPort], [['a', 'b'], 80]);
    await run(['create', 'serviceaccount', 'sa', '-n', 'proto']);
    await run(['create', 'secret', 'generic', 's', '--from-literal=a=b', '-n', 'proto']);
    assert.deepEqual(api.get('secrets', 'proto', 's')?.data, { a: 'Yg==' });
    await run(['create', 'role', 'r', '--verb=get', '--resource=pods', '-n', 'proto']);
    await run(['create', 'rolebinding', 'r', '--role=r', '--serviceaccount=proto:sa', '-n', 'proto']);
    const as = await writeKubeconfig(server.kubeconfig('system:serviceaccount:proto:sa'));
    after(() => as.remove());
    assert.equal(
      (await kubectl(as.path, ['auth', 'can-i', 'get', 'pods', '-n', 'proto'])).stdout.trim(),
      'yes',
    );
    assert.equal(
      (await kubectl(as.path, ['auth', 'can-i', 'list', 'pods', '-n', 'proto'])).stdout.trim(),
      'no',
    );
    const { stdout } = await run(['create', 'token', 'sa', '-n', 'proto']);
    const self = await call(server, '/api/v1/pods', {
      headers: { authorization: `Bearer ${stdout.trim()}` },
    });
    assert.match(self.body.message, /User "system:serviceaccount:proto:sa"/);
    const refused = await raw(['create', 'poddisruptionbudget', 'b', '--selector=a=b', '--min-available=1']);
    assert.match(refused.stderr, /kind PodDisruptionBudget is read as JSON only/);
  });

  test('a service account is told what it may not do', async () => {
    const as = await writeKubeconfig(server.kubeconfig('system:serviceaccount:default:nobody'));
    after(() => as.remove());
    const { code, stderr } = await kubectl(as.path, ['get', 'pods']);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /pods is forbidden: User "system:serviceaccount:default:nobody" cannot list resource "pods" in API group "" in the namespace "default"/,
    );
  });
});
