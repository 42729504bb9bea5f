/**
 * From containers' records to a pod's status, as a real kubelet computes it: phase, conditions, container
 * statuses. Pure.
 */
import { createHash } from 'node:crypto';
import type { KubeObject } from '../../api/objects/types.ts';
import { timeText, type Condition } from '../../controllers/workloads/objects.ts';
import { specOf, type ContainerKind, type ContainerSpec } from './pod-spec.ts';

export interface Terminated {
  exitCode: number;
  reason: string;
  message?: string;
  signal?: number;
  startedAt: string;
  finishedAt: string;
  containerID?: string;
}

/** How a run ended; a reason of its own (StartError) goes before what the exit code says. */
export function terminatedBy(
  { code, signal }: { readonly code: number; readonly signal: number | undefined },
  more: Partial<Terminated> & Pick<Terminated, 'startedAt' | 'finishedAt'>,
): Terminated {
  const reason = code === 0 ? 'Completed' : 'Error';
  return { exitCode: code, ...(signal === undefined ? {} : { signal }), reason, ...more };
}

export type ContainerState =
  | { waiting: { reason: string; message?: string } }
  | { running: { startedAt: string } }
  | { terminated: Terminated };

/** What is known of one container at a moment. */
export interface ContainerRecord {
  readonly spec: ContainerSpec;
  readonly kind: ContainerKind;
  readonly state: ContainerState;
  readonly lastState: Terminated | undefined;
  readonly isReady: boolean;
  readonly isStarted: boolean;
  readonly restartCount: number;
  readonly containerId: string | undefined;
}

export interface PodFacts {
  readonly pod: KubeObject;
  readonly podIp: string;
  readonly hostIp: string;
  readonly startTime: string;
  readonly containers: readonly ContainerRecord[];
  /** All containers have ended and none will start again. */
  readonly isOver: boolean;
  readonly now: number;
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export function podStatus(facts: PodFacts): Record<string, unknown> {
  const { pod, podIp, hostIp, containers } = facts;
  const phase = podPhase(facts);
  const inits = containers.filter((record) => record.kind !== 'main');
  const mains = containers.filter((record) => record.kind === 'main');
  const before = (pod.status ?? {}) as Record<string, unknown>;
  return {
    ...before,
    phase,
    conditions: conditions(facts, phase),
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    podIP: podIp,
    podIPs: [{ ip: podIp }],
    startTime: facts.startTime,
    ...(inits.length > 0 ? { initContainerStatuses: inits.map(containerStatus) } : {}),
    containerStatuses: mains.map(containerStatus),
  };
}

export function podPhase({ pod, containers, isOver }: PodFacts): PodPhase {
  const mains = containers.filter((record) => record.kind === 'main');
  const inits = containers.filter((record) => record.kind === 'init');
  const sidecars = containers.filter((record) => record.kind === 'sidecar');
  const { restartPolicy = 'Always' } = specOf(pod);
  const hasFailed = (record: ContainerRecord) => (ended(record)?.exitCode ?? 0) !== 0;
  if (restartPolicy === 'Never' && inits.some(hasFailed)) return 'Failed';
  const wasInitialized = mains.some((record) => 'running' in record.state || ended(record) !== undefined);
  const isInitializing =
    inits.some((record) => !('terminated' in record.state) || hasFailed(record)) ||
    sidecars.some((record) => !record.isStarted);
  if (isInitializing && !wasInitialized) return isOver && inits.some(hasFailed) ? 'Failed' : 'Pending';
  if (mains.some((record) => 'waiting' in record.state && !record.lastState)) return 'Pending';
  if (mains.some((record) => 'running' in record.state)) return 'Running';
  if (!isOver) return 'Running';
  return mains.some(hasFailed) ? 'Failed' : 'Succeeded';
}

/** How its last run ended, whether that is still its state or it waits for the next one. */
function ended(record: ContainerRecord): Terminated | undefined {
  return 'terminated' in record.state ? record.state.terminated : record.lastState;
}

function conditions(facts: PodFacts, phase: PodPhase): Condition[] {
  const { pod, containers, now } = facts;
  const containersReady = readiness(containers, phase);
  const wanted: Condition[] = [
    { type: 'PodReadyToStartContainers', status: facts.isOver ? 'False' : 'True' },
    initialized(containers, phase),
    { ...withGates(pod, containersReady), type: 'Ready' },
    { ...containersReady, type: 'ContainersReady' },
    { type: 'PodScheduled', status: 'True' },
  ];
  const before = (pod.status?.conditions ?? []) as Condition[];
  const ours = new Set(wanted.map(({ type }) => type));
  const settled = wanted.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const isSame = old?.status === condition.status && old.lastTransitionTime !== undefined;
    return {
      ...condition,
      lastProbeTime: null,
      lastTransitionTime: isSame ? (old.lastTransitionTime as string) : timeText(now),
    };
  });
  return [...settled, ...before.filter(({ type }) => !ours.has(type))];
}

type ConditionState = Omit<Condition, 'type'>;

function readiness(containers: readonly ContainerRecord[], phase: PodPhase): ConditionState {
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  const unready = containers.filter((record) => record.kind !== 'init' && !record.isReady);
  if (unready.length === 0) return { status: 'True' };
  const names = unready.map((record) => record.spec.name).join(' ');
  const message = `containers with unready status: [${names}]`;
  return { status: 'False', reason: 'ContainersNotReady', message };
}

function withGates(pod: KubeObject, ready: ConditionState): ConditionState {
  const gates = specOf(pod).readinessGates ?? [];
  if (ready.status !== 'True' || gates.length === 0) return ready;
  const before = (pod.status?.conditions ?? []) as Condition[];
  const closed = gates.find((gate) => before.find((c) => c.type === gate.conditionType)?.status !== 'True');
  if (!closed) return ready;
  const message = `corresponding condition of pod readiness gate "${closed.conditionType}" does not exist.`;
  return { status: 'False', reason: 'ReadinessGatesNotReady', message };
}

function initialized(containers: readonly ContainerRecord[], phase: PodPhase): Condition {
  const type = 'Initialized';
  if (phase === 'Succeeded') return { type, status: 'True', reason: 'PodCompleted' };
  const mains = containers.filter((record) => record.kind === 'main');
  if (mains.some((record) => 'running' in record.state || ended(record))) return { type, status: 'True' };
  const incomplete = containers.filter(
    (record) =>
      (record.kind === 'sidecar' && !record.isStarted) || (record.kind === 'init' && !record.isReady),
  );
  if (incomplete.length === 0) return { type, status: 'True' };
  const names = incomplete.map((record) => record.spec.name).join(' ');
  const message = `containers with incomplete status: [${names}]`;
  return { type, status: 'False', reason: 'ContainersNotInitialized', message };
}

function containerStatus(record: ContainerRecord): Record<string, unknown> {
  const { spec, state, lastState, isReady, isStarted, restartCount, containerId } = record;
  return {
    name: spec.name,
    state,
    lastState: lastState ? { terminated: lastState } : {},
    ready: isReady,
    restartCount,
    image: spec.image,
    imageID: containerId ? `${spec.image.replace(/[:@][^/]*$/, '')}@sha256:${digest(spec.image)}` : '',
    ...(containerId ? { containerID: containerId } : {}),
    started: isStarted,
  };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
