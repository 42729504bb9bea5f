/** `slimfaas canary`: what is shown, what a promotion writes, and what it refuses. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { canaryTable, type ShownCanary } from '../../cli/client/canary.ts';
import { obstacleOf, obstacleTo, obstacleToEnd, promotionText } from '../../cli/client/promotion.ts';
import { CANARY_END_ANNOTATION, readCanaryEnd } from '../../common/function/canary-end.ts';
import type { V1Deployment } from '../../common/kube/client.ts';
import { isRolledOut } from '../../common/kube/model/workload.ts';
import type { ApiServer } from '../../packages/local-cluster/api/http/server.ts';
import { deploymentManifest, startLocalApi } from '../helpers/local-api.ts';
import { waitFor } from '../helpers/wait.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const REVISION = 'deployment.kubernetes.io/revision';
const CANARY = { 'slimfaas.dev/canary-of': 'shop', 'slimfaas.dev/weight': '10' };

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, 'canary', ...args], {
    env: { PATH: process.env['PATH'], HOME: '/nowhere', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]).then(
    ([stdout, stderr, [code]]) => ({ stdout, stderr, code: code as number }),
  );
}

const SHOWN: ShownCanary = {
  namespace: 'default',
  name: 'next',
  canary: {
    of: 'shop',
    weight: 10,
    canary: { calls: 150, errorPercent: 12.34, p95Ms: 81.6 },
    stable: { calls: 1_400, errorPercent: 0 },
  },
};

test('the table has a line for each part, and says what became of a canary', () => {
  assert.equal(canaryTable([]), 'no canaries');
  const [heading, canary, stable] = canaryTable([SHOWN]).split('\n');
  assert.match(heading ?? '', /^NAMESPACE +FUNCTION +PART +WEIGHT +CALLS +ERRORS +P95 +STATE$/);
  assert.match(canary ?? '', /^default +shop +next +10 % +150 +12\.3 % +82 ms +takes its part$/);
  assert.match(stable ?? '', /^default +shop +shop +1400 +0 %$/);
  const ended = (isPromoted: boolean) =>
    canaryTable([{ ...SHOWN, canary: { ...SHOWN.canary, ended: { at: 'T', why: 'slow', isPromoted } } }]);
  assert.match(ended(false), / next +0 % .* rolled back at T: slow\n/);
  assert.match(ended(true), / next +0 % .* promoted at T\n/);
  assert.match(canaryTable([{ ...SHOWN, canary: { ...SHOWN.canary, weight: 0 } }]), / off\n/);
});

test('it is read from the scaler, of one namespace where one is named', async (t) => {
  const asked: string[] = [];
  const scaler = createServer((req, res) => {
    asked.push(req.url ?? '');
    res.end(JSON.stringify([{ namespace: 'default', name: 'shop' }, SHOWN]));
  }).listen(0, '127.0.0.1');
  t.after(() => scaler.close());
  await once(scaler, 'listening');
  const url = ['--scaler-url', `http://127.0.0.1:${(scaler.address() as AddressInfo).port}`];
  const shown = await start([...url, '-n', 'default']);
  assert.match(shown.stdout, /^default +shop +next +10 %/m, shown.stderr);
  assert.deepEqual(JSON.parse((await start([...url, '--json'])).stdout), [SHOWN]);
  assert.deepEqual(asked, ['/functions?namespace=default', '/functions']);
});

function deployment(annotations: Record<string, string>, spec: object, status: object = {}): V1Deployment {
  return {
    metadata: { name: 'next', namespace: 'default', generation: 1 },
    spec: { replicas: 1, template: { metadata: { annotations }, spec } },
    status,
  } as V1Deployment;
}

describe('a promotion', () => {
  const FUNCTION = { 'SlimFaas/Function': 'true' };
  const app = (image: string) => ({ containers: [{ name: 'app', image }] });
  const obstacle = (annotations: Record<string, string>, spec: object = app('a:2'), status: object = {}) => {
    const found = obstacleTo('Deployment', deployment({ ...FUNCTION, ...annotations }, spec, status), false);
    return 'obstacle' in found ? found.obstacle : found.of;
  };

  it('is refused for what is no canary, what carries a sidecar, and while two versions run', () => {
    assert.equal(obstacle(CANARY), 'shop');
    assert.match(obstacle({}), /^it is no canary: slimfaas\.dev\/canary-of is not set/);
    const injected = { containers: [{ name: 'app' }, { name: 'slimfaas-sidecar' }] };
    assert.match(obstacle(CANARY, injected), /^its manifest has a sidecar/);
    assert.match(
      obstacle(CANARY, app('a:2'), { replicas: 2, updatedReplicas: 1 }),
      /^it is being rolled out/,
    );
  });

  it('says what changes and what stays', () => {
    const stable = deployment({ ...FUNCTION, 'slimfaas.dev/hosts': 'a.b' }, { ...app('a:1'), hostname: 'x' });
    const canary = deployment({ ...FUNCTION, ...CANARY, own: 'y' }, app('a:2'));
    assert.deepEqual(promotionText(stable, canary), [
      'container app: a:1 → a:2',
      'hostname: as the canary has it',
      'annotation slimfaas.dev/hosts stays "a.b", not unset',
      'annotation own stays unset, not "y"',
    ]);
    assert.deepEqual(promotionText(canary, canary), []);
    const other = deployment(FUNCTION, { containers: [{ name: 'app', image: 'a:1', tty: true }] });
    assert.deepEqual(promotionText(deployment(FUNCTION, app('a:1')), other), [
      'container app: tty: unset → true',
    ]);
    const with2 = (more: object) =>
      deployment(FUNCTION, { containers: [{ ...app('a:1').containers[0], ...more }] });
    const env = (value: string) => [
      { name: 'SAME', value: '1' },
      { name: 'KEY', value },
    ];
    const changes = promotionText(
      with2({ env: env('old'), resources: { limits: { memory: '1Gi' } }, command: ['a'] }),
      with2({ env: env('new'), resources: { limits: { memory: '2Gi' } }, command: ['b'], image: 'a:2' }),
    );
    assert.deepEqual(changes, [
      'container app: a:1 → a:2',
      'container app: env KEY: as the canary has it',
      'container app: resources: {"limits":{"memory":"1Gi"}} → {"limits":{"memory":"2Gi"}}',
      'container app: command: ["a"] → ["b"]',
    ]);
  });

  it('ends the canary that was promoted, and no other', () => {
    const made = (spec: object, uid = 'u', annotations: Record<string, string> = {}) => {
      const object = deployment({ ...FUNCTION, ...CANARY }, spec);
      Object.assign(object.metadata as object, { uid, annotations });
      return object;
    };
    const end = (now: V1Deployment | undefined, isForced = false) =>
      obstacleToEnd(made(app('a:2')), now, { kind: 'Deployment', isForced });
    assert.equal(end(made(app('a:2'))), undefined);
    assert.match(end(undefined) ?? '', /deleted/);
    assert.match(end(made(app('a:2'), 'other')) ?? '', /deleted/);
    assert.match(end(made(app('a:3'))) ?? '', /another version/);
    const ended = made(app('a:2'), 'u', { [CANARY_END_ANNOTATION]: 'broken' });
    assert.match(end(ended) ?? '', /was ended meanwhile/);
    assert.equal(end(ended, true), undefined);
  });

  it('is refused at zero, where no pod would show that it runs', () => {
    const asleep = deployment(FUNCTION, app('a:1'));
    Object.assign(asleep.spec as object, { replicas: 0 });
    assert.match(
      obstacleOf('Deployment', asleep, false) ?? '',
      /^it has no pods.*wake it by a call.*--force/,
    );
    assert.equal(obstacleOf('Deployment', asleep, true), undefined);
    assert.equal(obstacleOf('Deployment', deployment(FUNCTION, app('a:1')), false), undefined);
  });

  it('is done when all pods run the template, at zero at once', () => {
    const status = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
    const isDone = (changes: object) => isRolledOut(deployment({}, {}, { ...status, ...changes }));
    assert.ok(isDone({}));
    for (const change of [
      { observedGeneration: 0 },
      { replicas: 2 },
      { updatedReplicas: 0 },
      { availableReplicas: 0 },
    ])
      assert.ok(!isDone(change), JSON.stringify(change));
    const asleep = deployment({}, {}, { observedGeneration: 1 });
    Object.assign(asleep.spec as object, { replicas: 0 });
    assert.ok(isRolledOut(asleep));
  });
});

async function startShop(
  t: TestContext,
  replicas = 1,
): Promise<{ api: ApiServer; env: Record<string, string> }> {
  const api = await startLocalApi((release) => t.after(release));
  const folder = await mkdtemp(join(tmpdir(), 'canary-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'kubeconfig');
  await writeFile(path, api.kubeconfig());
  for (const [name, annotations] of [
    ['shop', {}],
    ['next', CANARY],
  ] as const) {
    const manifest = deploymentManifest(name, { replicas: name === 'shop' ? replicas : 0 });
    manifest.metadata.annotations = { [REVISION]: '4' };
    manifest['spec'].template.metadata.annotations = { 'SlimFaas/Function': 'true', ...annotations };
    manifest['spec'].template.spec.containers = [{ name: 'app', image: `example/${name}:1` }];
    await api.api.create('deployments', manifest);
  }
  return { api, env: { KUBECONFIG: path } };
}

function imageOf(api: ApiServer, name: string): string {
  const [container] = api.api.get('deployments', 'default', name)?.['spec'].template.spec.containers ?? [];
  return (container as { image: string }).image;
}

function annotationOf(api: ApiServer, name: string): string | undefined {
  return api.api.get('deployments', 'default', name)?.metadata.annotations?.[CANARY_END_ANNOTATION];
}

test('promote: a dry run changes nothing; then the function has the pods, and the canary ends once they run', async (t) => {
  const { api, env } = await startShop(t);
  const dry = await start(['promote', 'next', '--dry-run'], env);
  assert.match(dry.stdout, /shop: container app: example\/shop:1 → example\/next:1\n.*dry run/s, dry.stderr);
  assert.deepEqual(
    [dry.code, imageOf(api, 'shop'), annotationOf(api, 'next')],
    [0, 'example/shop:1', undefined],
  );

  const running = start(['promote', 'next.default'], env);
  await waitFor(() => imageOf(api, 'shop') === 'example/next:1', { what: 'the function has the pods' });
  assert.equal(annotationOf(api, 'next'), undefined, 'the canary goes on until they run');
  await api.api.modify(
    'deployments',
    'default',
    'shop',
    (draft) => {
      const pods = { replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
      draft['status'] = { observedGeneration: draft.metadata.generation, ...pods };
    },
    'status',
  );
  const done = await running;
  assert.match(done.stdout, /next: gets no more calls of shop/, done.stderr);
  assert.equal(readCanaryEnd(annotationOf(api, 'next'), '4')?.isPromoted, true);
  assert.equal(readCanaryEnd(annotationOf(api, 'next'), '5'), undefined);
  const again = await start(['promote', 'next'], env);
  assert.deepEqual([again.code, /was promoted; --force/.test(again.stderr)], [1, true]);
});

test('promote: pods that do not come up leave the canary as it is, and say what to do', async (t) => {
  const { api, env } = await startShop(t);
  const late = await start(['promote', 'next', '--timeout', '1'], env);
  assert.equal(late.code, 1);
  assert.match(
    late.stderr,
    /after 1 s the pods of default\/shop do not all run .* rollout undo deployments\/shop/,
  );
  assert.equal(annotationOf(api, 'next'), undefined);
  for (const [args, why] of [
    [['promote', 'nobody'], /there is no Deployment and no StatefulSet default\/nobody/],
    [['promote', 'shop'], /default\/shop is not promoted: it is no canary/],
    [['promote', 'next.default', '-n', 'other'], /names a namespace already/],
  ] as const) {
    const refused = await start(args, env);
    assert.match(refused.stderr, why);
    assert.notEqual(refused.code, 0);
  }
});

test('promote: at zero nothing is changed, with --force it is done at once', async (t) => {
  const { api, env } = await startShop(t, 0);
  const refused = await start(['promote', 'next'], env);
  assert.match(refused.stderr, /default\/shop is not changed: it has no pods/);
  assert.deepEqual([refused.code, imageOf(api, 'shop')], [1, 'example/shop:1']);
  const running = start(['promote', 'next', '--force'], env);
  await waitFor(() => imageOf(api, 'shop') === 'example/next:1', { what: 'the function has the pods' });
  const seen = (draft: { metadata: { generation?: number }; status?: unknown }) => {
    draft.status = { observedGeneration: draft.metadata.generation };
  };
  await api.api.modify('deployments', 'default', 'shop', (draft) => seen(draft as never), 'status');
  const done = await running;
  assert.match(done.stdout, /next: gets no more calls of shop/, done.stderr);
});

test('promote: a canary that has another version meanwhile goes on', async (t) => {
  const { api, env } = await startShop(t);
  const running = start(['promote', 'next'], env);
  await waitFor(() => imageOf(api, 'shop') === 'example/next:1', { what: 'the function has the pods' });
  await api.api.modify('deployments', 'default', 'next', (draft) => {
    draft['spec'].template.spec.containers = [{ name: 'app', image: 'example/next:2' }];
  });
  await api.api.modify(
    'deployments',
    'default',
    'shop',
    (draft) => {
      const pods = { replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
      draft['status'] = { observedGeneration: draft.metadata.generation, ...pods };
    },
    'status',
  );
  const late = await running;
  assert.match(late.stderr, /default\/next is not ended: it has another version meanwhile/);
  assert.deepEqual([late.code, annotationOf(api, 'next')], [1, undefined]);
});
