/**
 * Why a pod does not come up or cannot be created, read from what Kubernetes reports on the pod or its workload. The
 * proxy tells the caller that waits; the scaler stops growth and writes Events. Pure; types only. Gives up what only an
 * Event says, except for the creation of a StatefulSet's pods (creation-failures.ts).
 */
import type { V1Deployment, V1Pod, V1StatefulSet } from '../client.ts';

export type TroubleKind =
  /** Want of room: it is the cluster's, and holds for the next pod too. */
  | 'unschedulable'
  | 'quota'
  /** An admission (Pod Security, a webhook) lets no pod be made. */
  | 'refused'
  | 'image-pull'
  | 'crash-loop'
  | 'container-config'
  | 'failed'
  /** On its way, and maybe for long. */
  | 'preparing'
  | 'pulling'
  | 'not-ready';

export interface Trouble {
  readonly kind: TroubleKind;
  readonly message: string;
}

const ON_ITS_WAY: ReadonlySet<TroubleKind> = new Set(['preparing', 'pulling', 'not-ready']);

/** It will not come up by waiting alone; else it may only need its time. */
export function isFailing({ kind }: Trouble): boolean {
  return !ON_ITS_WAY.has(kind);
}

type ContainerStatus = NonNullable<NonNullable<V1Pod['status']>['containerStatuses']>[number];

/** A Deployment says so when its pods cannot even be created: quota, or an admission that refuses them. */
export function troubleOfWorkload({ status }: V1Deployment | V1StatefulSet): Trouble | undefined {
  const failure = status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
  return failure && creationTrouble(failure.message ?? failure.reason ?? 'ReplicaFailure');
}

/** From the words of a failed creation: the API tells a used-up quota from other refusals in no other way. */
export function creationTrouble(message: string): Trouble {
  return { kind: /exceeded quota/.test(message) ? 'quota' : 'refused', message };
}

/** Undefined for a ready pod, and for one that nobody has looked at yet. */
export function troubleOfPod(pod: V1Pod): Trouble | undefined {
  const { status } = pod;
  const scheduled = status?.conditions?.find((c) => c.type === 'PodScheduled' && c.status === 'False');
  if (scheduled) {
    const message = scheduled.message ?? scheduled.reason ?? 'no node fits';
    return { kind: 'unschedulable', message: `cannot be scheduled: ${message}` };
  }
  if (status?.phase === 'Failed')
    return {
      kind: 'failed',
      message: `failed: ${status.message ?? status.reason ?? 'its containers ended'}`,
    };
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  // What fails explains more than what waits for it.
  return (
    firstOf(containers, failureOf) ??
    firstOf(containers, (container) => progressOf(container, pod)) ??
    firstOf(status?.containerStatuses ?? [], (container) => unreadyOf(container, pod)) ??
    gateOf(pod)
  );
}

function firstOf(
  containers: readonly ContainerStatus[],
  read: (container: ContainerStatus) => Trouble | undefined,
): Trouble | undefined {
  for (const container of containers) {
    const trouble = read(container);
    if (trouble) return { kind: trouble.kind, message: `container ${container.name}: ${trouble.message}` };
  }
  return undefined;
}

function failureOf({ state, lastState, ready, restartCount }: ContainerStatus): Trouble | undefined {
  const waiting = state?.waiting;
  const last = lastState?.terminated;
  const exit = last ? ` (last exit code ${last.exitCode}${last.reason ? `, ${last.reason}` : ''})` : '';
  if (waiting?.reason && !CREATING.has(waiting.reason)) {
    const [kind, words] = REASONS[waiting.reason] ?? ['container-config', 'it cannot be started'];
    const told = waiting.message ? `: ${waiting.message}` : '';
    return { kind, message: `${words} (${waiting.reason})${told}${exit}` };
  }
  if (ready) return undefined;
  const ended = state?.terminated;
  if (ended && ended.exitCode !== 0) {
    const reason = ended.reason ? ` (${ended.reason})` : '';
    return { kind: 'crash-loop', message: `it crashed with exit code ${ended.exitCode}${reason}` };
  }
  // Between two crashes it runs for a moment: it is cured when it is ready, not when it is started again.
  if (last && last.exitCode !== 0 && restartCount > 0)
    return { kind: 'crash-loop', message: `it was started again after a crash${exit}` };
  return undefined;
}

/** The kubelet's reasons, with what they mean in front, so that the message can be searched for either. */
const REASONS: Readonly<Record<string, readonly [TroubleKind, string]>> = {
  ErrImagePull: ['image-pull', 'image pull failed'],
  ImagePullBackOff: ['image-pull', 'image pull failed'],
  InvalidImageName: ['image-pull', 'image pull failed'],
  ErrImageNeverPull: ['image-pull', 'image pull failed'],
  ImageInspectError: ['image-pull', 'image pull failed'],
  RegistryUnavailable: ['image-pull', 'image pull failed'],
  SignatureValidationFailed: ['image-pull', 'image pull failed'],
  CrashLoopBackOff: ['crash-loop', 'it crashes again and again'],
  CreateContainerConfigError: ['container-config', 'its configuration is wrong'],
  CreateContainerError: ['container-config', 'it cannot be created'],
  RunContainerError: ['container-config', 'it cannot be run'],
  PreCreateHookError: ['container-config', 'its hook failed'],
  PreStartHookError: ['container-config', 'its hook failed'],
  PostStartHookError: ['container-config', 'its postStart hook failed'],
};

const CREATING: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing']);

/**
 * The kubelet says `ContainerCreating` for all that comes before a container runs. Once the pod has its network and
 * volumes (`PodReadyToStartContainers`), that is the pull of its image: a pull that hangs shows in no other way.
 */
function progressOf({ state, image }: ContainerStatus, pod: V1Pod): Trouble | undefined {
  if (state?.waiting?.reason !== 'ContainerCreating') return undefined;
  const condition = pod.status?.conditions?.find(({ type }) => type === 'PodReadyToStartContainers');
  if (condition?.status !== 'True')
    return { kind: 'preparing', message: 'the network and the volumes of its pod are being prepared' };
  return { kind: 'pulling', message: `its image ${image} is still being pulled` };
}

/** Its containers are ready, and a readiness gate of somebody else is open: a load balancer's controller, for one. */
function gateOf({ spec, status }: V1Pod): Trouble | undefined {
  const conditions = new Map((status?.conditions ?? []).map((condition) => [condition.type, condition]));
  if (conditions.get('Ready')?.status === 'True') return undefined;
  const gate = spec?.readinessGates?.find(({ conditionType }) => !isTrue(conditions.get(conditionType)));
  if (gate === undefined) return undefined;
  const set = conditions.get(gate.conditionType);
  const told = set?.message ? ` (${set.message})` : '';
  const is = set === undefined ? 'which nobody has set' : `which is ${set.status}${told}`;
  return { kind: 'not-ready', message: `waits for its readiness gate ${gate.conditionType}, ${is}` };
}

function isTrue(condition: { readonly status: string } | undefined): boolean {
  return condition?.status === 'True';
}

function unreadyOf({ name, state, ready }: ContainerStatus, { spec }: V1Pod): Trouble | undefined {
  if (!state?.running || ready) return undefined;
  const container = spec?.containers?.find((each) => each.name === name);
  const hasProbe = container?.readinessProbe !== undefined || container?.startupProbe !== undefined;
  const why = hasProbe ? 'but its readiness probe fails' : 'but Kubernetes does not call it ready';
  return { kind: 'not-ready', message: `runs, ${why}` };
}
