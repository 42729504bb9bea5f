/** From containers' records to a pod's phase and conditions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import type { ContainerKind } from '../../../packages/local-cluster/kubelet/pods/pod-spec.ts';
import {
  podPhase,
  podStatus,
  type ContainerRecord,
  type ContainerState,
} from '../../../packages/local-cluster/kubelet/pods/status.ts';

const AT = '2026-01-01T00:00:00Z';
const waiting: ContainerState = { waiting: { reason: 'ContainerCreating' } };
const backOff: ContainerState = { waiting: { reason: 'CrashLoopBackOff' } };
const running: ContainerState = { running: { startedAt: AT } };
const ended = (exitCode: number) => ({
  terminated: { exitCode, reason: 'x', startedAt: AT, finishedAt: AT },
});

function record(
  kind: ContainerKind,
  state: ContainerState,
  rest: Partial<ContainerRecord> = {},
): ContainerRecord {
  const isUp = 'running' in state;
  const isDone = kind === 'init' && 'terminated' in state && state.terminated.exitCode === 0;
  return {
    spec: { name: kind, image: 'i:1' },
    kind,
    state,
    lastState: undefined,
    isReady: isUp || isDone,
    isStarted: isUp,
    restartCount: 0,
    containerId: undefined,
    ...rest,
  };
}

function facts(
  containers: ContainerRecord[],
  rest: { policy?: string; isOver?: boolean; pod?: object } = {},
) {
  const { policy = 'Always', isOver = false, pod = {} } = rest;
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {},
    spec: { restartPolicy: policy, containers: [] },
    ...pod,
  } as unknown as KubeObject;
  return {
    pod: object,
    podIp: '127.1.1.1',
    hostIp: '127.1.0.1',
    startTime: AT,
    containers,
    isOver,
    now: Date.parse(AT),
  };
}

const [init, side, main] = [
  (s: ContainerState, r = {}) => record('init', s, r),
  (s: ContainerState, r = {}) => record('sidecar', s, r),
  (s: ContainerState, r = {}) => record('main', s, r),
];
const crashed = { lastState: ended(1).terminated };

describe('phase', () => {
  for (const [what, containers, rest, expected] of [
    ['nothing runs yet', [main(waiting)], {}, 'Pending'],
    ['one of two runs', [main(running), main(waiting)], {}, 'Pending'],
    ['all run', [main(running), main(running)], {}, 'Running'],
    ['an init container runs', [init(running), main(waiting)], {}, 'Pending'],
    [
      'an init container has failed and is tried again',
      [init(backOff, crashed), main(waiting)],
      {},
      'Pending',
    ],
    [
      'an init container has failed for good',
      [init(ended(1)), main(waiting)],
      { policy: 'Never', isOver: true },
      'Failed',
    ],
    ['a sidecar is not up yet', [side(waiting), main(waiting)], {}, 'Pending'],
    ['a sidecar has crashed beside a main that runs', [side(backOff, crashed), main(running)], {}, 'Running'],
    ['a main waits for its next run', [main(backOff, crashed)], {}, 'Running'],
    ['one of two has ended', [main(ended(1)), main(running)], { policy: 'Never' }, 'Running'],
    ['all have ended well', [main(ended(0)), main(ended(0))], { policy: 'Never', isOver: true }, 'Succeeded'],
    ['one has ended badly', [main(ended(0)), main(ended(3))], { policy: 'Never', isOver: true }, 'Failed'],
    [
      'a sidecar was killed at the end of a good one',
      [side(ended(137)), main(ended(0))],
      { policy: 'Never', isOver: true },
      'Succeeded',
    ],
  ] as const) {
    test(`${what}: ${expected}`, () => assert.equal(podPhase(facts([...containers], rest)), expected));
  }
});

describe('conditions', () => {
  const conditionsOf = (status: Record<string, unknown>) =>
    Object.fromEntries(
      (
        status['conditions'] as {
          type: string;
          status: string;
          reason?: string;
          message?: string;
          lastTransitionTime: string;
        }[]
      ).map((c) => [c.type, c]),
    );

  for (const [what, containers, rest, expected] of [
    [
      'waiting',
      [side(waiting), main(waiting)],
      {},
      { Initialized: 'False', Ready: 'False', ContainersReady: 'False', PodScheduled: 'True' },
    ],
    [
      'up',
      [side(running), main(running)],
      {},
      { Initialized: 'True', Ready: 'True', ContainersReady: 'True', PodReadyToStartContainers: 'True' },
    ],
    [
      'a sidecar is not ready',
      [side(running, { isReady: false }), main(running)],
      {},
      { Initialized: 'True', Ready: 'False' },
    ],
    [
      'completed',
      [main(ended(0))],
      { policy: 'Never', isOver: true },
      { Initialized: 'True', Ready: 'False' },
    ],
    [
      'a gate is closed',
      [main(running)],
      { pod: { spec: { containers: [], readinessGates: [{ conditionType: 'g' }] } } },
      { ContainersReady: 'True', Ready: 'False' },
    ],
  ] as const) {
    test(what, () => {
      const conditions = conditionsOf(podStatus(facts([...containers], rest)));
      for (const [type, status] of Object.entries(expected))
        assert.equal(conditions[type]?.status, status, type);
    });
  }

  test('who is not ready is named', () => {
    const { Ready } = conditionsOf(podStatus(facts([side(running), main(waiting)])));
    assert.deepEqual(
      [Ready?.reason, Ready?.message],
      ['ContainersNotReady', 'containers with unready status: [main]'],
    );
  });

  test('times change only with what they tell of; foreign conditions stay', () => {
    const before = [
      { type: 'Ready', status: 'True', lastTransitionTime: '2020-01-01T00:00:00Z' },
      { type: 'Initialized', status: 'False', lastTransitionTime: '2020-01-01T00:00:00Z' },
      { type: 'example.com/other', status: 'True' },
    ];
    const conditions = conditionsOf(
      podStatus(facts([main(running)], { pod: { status: { conditions: before } } })),
    );
    assert.equal(conditions['Ready']?.lastTransitionTime, '2020-01-01T00:00:00Z');
    assert.equal(conditions['Initialized']?.lastTransitionTime, AT);
    assert.equal(conditions['example.com/other']?.status, 'True');
  });
});
