/** One reading of what Kubernetes reports on a pod, for the proxy's callers and the scaler's decisions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Pod } from '../../../../common/kube/client.ts';
import { isFailing, troubleOfPod, type TroubleKind } from '../../../../common/kube/model/trouble.ts';

const waiting = (reason: string, message?: string) => ({ waiting: { reason, message } });
const crashed = { terminated: { exitCode: 137, reason: 'OOMKilled' } };
const readyToStart = { type: 'PodReadyToStartContainers', status: 'True' };

const app = (state: object, more: object = {}) => ({
  containerStatuses: [{ name: 'app', image: 'shop:1', ready: false, restartCount: 0, state, ...more }],
});

const CASES: readonly [string, object, TroubleKind | undefined, RegExp?][] = [
  ['nothing reported', {}, undefined],
  [
    'no node',
    { conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes: memory' }] },
    'unschedulable',
    /^cannot be scheduled: 0\/3 nodes: memory$/,
  ],
  ['evicted', { phase: 'Failed', reason: 'Evicted', message: 'low on memory' }, 'failed', /low on memory/],
  [
    'a back-off',
    app(waiting('ImagePullBackOff', 'back-off')),
    'image-pull',
    /^container app: image pull failed.*back-off/,
  ],
  ['a registry away', app(waiting('RegistryUnavailable')), 'image-pull'],
  ['a signature', app(waiting('SignatureValidationFailed')), 'image-pull'],
  ['a crash loop', app(waiting('CrashLoopBackOff'), { lastState: crashed }), 'crash-loop', /137, OOMKilled/],
  ['a crash', app(crashed), 'crash-loop', /crashed with exit code 137 \(OOMKilled\)/],
  ['between crashes', app({ running: {} }, { lastState: crashed, restartCount: 2 }), 'crash-loop'],
  ['cured', app({ running: {} }, { lastState: crashed, restartCount: 2, ready: true }), undefined],
  ['ended well', app({ terminated: { exitCode: 0 } }), undefined],
  [
    'a config',
    app(waiting('CreateContainerConfigError', 'secret "x" not found')),
    'container-config',
    /secret "x"/,
  ],
  ['a reason of the future', app(waiting('NewReason', 'so')), 'container-config', /\(NewReason\): so/],
  ['no network yet', app(waiting('ContainerCreating')), 'preparing', /network and the volumes/],
  [
    'a pull that hangs',
    { ...app(waiting('ContainerCreating')), conditions: [readyToStart] },
    'pulling',
    /^container app: its image shop:1 is still being pulled$/,
  ],
  ['waits for an init container', app(waiting('PodInitializing')), undefined],
  ['not ready', app({ running: {} }), 'not-ready', /runs, but Kubernetes does not call it ready/],
  ['ready', app({ running: {} }, { ready: true }), undefined],
];

for (const [what, status, kind, message = /./] of CASES)
  test(`${what}: ${kind ?? 'nothing to tell'}`, () => {
    const trouble = troubleOfPod({ status } as V1Pod);
    assert.equal(trouble?.kind, kind);
    if (trouble) assert.match(trouble.message, message);
  });

test('a failure of an init container explains more than the app that waits for it', () => {
  const init = [{ name: 'init', image: 'i', ready: false, restartCount: 0, state: waiting('ErrImagePull') }];
  const trouble = troubleOfPod({
    status: { initContainerStatuses: init, ...app(waiting('PodInitializing')) },
  } as V1Pod);
  assert.match(trouble?.message ?? '', /^container init: image pull failed/);
});

test('a readiness probe is blamed only where there is one', () => {
  const containers = [{ name: 'app', readinessProbe: { httpGet: { port: 1 } } }];
  const trouble = troubleOfPod({ spec: { containers }, status: app({ running: {} }) } as unknown as V1Pod);
  assert.match(trouble?.message ?? '', /its readiness probe fails/);
});

test('a readiness gate that is not open is named, and says what was set there', () => {
  const gated = (...set: object[]) => {
    const spec = { readinessGates: [{ conditionType: 'a.example/lb' }, { conditionType: 'b.example/dns' }] };
    const conditions = [{ type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady' }, ...set];
    return troubleOfPod({
      spec,
      status: { ...app({ running: {} }, { ready: true }), conditions },
    } as unknown as V1Pod);
  };
  const open = { type: 'a.example/lb', status: 'True' };
  assert.deepEqual(gated(), {
    kind: 'not-ready',
    message: 'waits for its readiness gate a.example/lb, which nobody has set',
  });
  assert.equal(
    gated(open, { type: 'b.example/dns', status: 'False', message: 'no record yet' })?.message,
    'waits for its readiness gate b.example/dns, which is False (no record yet)',
  );
  assert.equal(gated(open, { type: 'b.example/dns', status: 'True' }), undefined);
});

test('what is on its way is no failure: growth goes on, and its callers wait', () => {
  const kinds: TroubleKind[] = [
    'unschedulable',
    'quota',
    'refused',
    'image-pull',
    'crash-loop',
    'container-config',
    'failed',
    'preparing',
    'pulling',
    'not-ready',
  ];
  const failing = kinds.filter((kind) => isFailing({ kind, message: '' }));
  assert.deepEqual(failing, kinds.slice(0, 7));
});
