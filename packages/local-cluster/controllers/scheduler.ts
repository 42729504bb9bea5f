/**
 * The scheduler: a pod is bound in the same turn in which it appears, because what callers wait
 * for on a cold start is measured. It knows cordons, node selectors, host ports and failures made on request;
 * it takes a node's CPU and memory for endless. Of several
 * nodes a pod gets the one with the fewest of its owner's.
 */
import { compileLabelSelector } from '../api/objects/selectors.ts';
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { ControllerContext } from './context.ts';
import {
  conditionOf,
  controllerOf,
  isTerminal,
  objectKey,
  splitKey,
  timeText,
  type Condition,
} from './workloads/objects.ts';
import { createWorkqueue } from './workqueue.ts';

export interface SchedulerOptions {
  readonly nodeNames: readonly string[];
  /** A reason on request, such as `1 Insufficient cpu`; undefined: the pod fits. */
  readonly refuse?: (pod: KubeObject) => string | undefined;
}

export interface Scheduler extends Running {
  /** Looks again at every pod that waits: a fault or something else that no watch shows has changed. */
  retry(): void;
}

export function startScheduler(context: ControllerContext, options: SchedulerOptions): Scheduler {
  const { api, log } = context;
  const assumed: Assumed = new Map();
  const queue = createWorkqueue('scheduler', (key) => schedule(context, options, { key, assumed }), log);
  const retry = () => {
    for (const pod of api.list('pods')) if (isUnbound(pod)) queue.add(objectKey(pod));
  };
  const unwatchPods = api.watch('pods', (type, pod) => {
    if (type !== 'DELETED' && isUnbound(pod)) queue.add(objectKey(pod));
    else if (type === 'DELETED' || isTerminal(pod)) retry(); // its host ports are free again
  });
  const unwatchNodes = api.watch('nodes', retry);
  return {
    retry,
    async stop() {
      unwatchPods();
      unwatchNodes();
      await queue.stop();
    },
  };
}

function isUnbound(pod: KubeObject): boolean {
  return !pod.spec.nodeName && pod.metadata.deletionTimestamp === undefined && !isTerminal(pod);
}

/** Pods that are being bound at this moment, for those that are looked at meanwhile. */
type Assumed = Map<string, { readonly node: string; readonly owner: string | undefined }>;

async function schedule(
  context: ControllerContext,
  options: SchedulerOptions,
  { key, assumed }: { key: string; assumed: Assumed },
): Promise<void> {
  const { namespace, name } = splitKey(key);
  const pod = context.api.get('pods', namespace, name);
  if (!pod || !isUnbound(pod)) return;
  const found = findNode(context.api, options, { pod, assumed });
  if ('reason' in found) return markUnschedulable(context, pod, found);
  assumed.set(pod.metadata.uid, { node: found.node, owner: controllerOf(pod)?.uid });
  try {
    await context.api.modify('pods', namespace, name, (draft) => {
      if (!isUnbound(draft)) return false;
      draft.spec.nodeName = found.node;
      return undefined;
    });
  } finally {
    assumed.delete(pod.metadata.uid);
  }
  const message = `Successfully assigned ${namespace}/${name} to ${found.node}`;
  context.events.normal(pod, 'Scheduled', message);
}

type Choice = { readonly node: string } | { readonly reason: string; readonly nodeCount: number };

interface Candidate {
  readonly pod: KubeObject;
  readonly assumed: Assumed;
}

function findNode(api: ClusterApi, { nodeNames, refuse }: SchedulerOptions, candidate: Candidate): Choice {
  const { pod } = candidate;
  const nodes = nodeNames.flatMap((name) => api.get('nodes', undefined, name) ?? []);
  if (nodes.length === 0) return { reason: 'no nodes available to schedule pods', nodeCount: 0 };
  const onRequest = refuse?.(pod);
  if (onRequest !== undefined) return { reason: onRequest, nodeCount: nodes.length };
  const verdicts = nodes.map((node) => ({ node, reason: unfit(api, node, pod) }));
  const fitting = verdicts.filter(({ reason }) => reason === undefined).map(({ node }) => node.metadata.name);
  const [node] = fitting.toSorted((a, b) => siblings(api, candidate, a) - siblings(api, candidate, b));
  if (node !== undefined) return { node };
  const counts = Map.groupBy(verdicts, ({ reason }) => reason);
  const reason = [...counts].map(([why, those]) => `${those.length} ${why}`).join(', ');
  return { reason, nodeCount: nodes.length };
}

/** How many pods of the same owner a node has, or is about to have. */
function siblings(api: ClusterApi, { pod, assumed }: Candidate, node: string): number {
  const owner = controllerOf(pod)?.uid;
  if (owner === undefined) return 0;
  const coming = [...assumed.values()].filter((other) => other.owner === owner && other.node === node);
  const bound = api
    .list('pods', { namespace: pod.metadata.namespace ?? '' })
    .filter((other) => controllerOf(other)?.uid === owner && other.spec.nodeName === node)
    .filter((other) => !assumed.has(other.metadata.uid));
  return coming.length + bound.length;
}

/** Why a node does not do, worded as the real scheduler's plugins word it. */
function unfit(api: ClusterApi, node: KubeObject, pod: KubeObject): string | undefined {
  if (node.spec?.unschedulable) return 'node(s) were unschedulable';
  const selector = (pod.spec.nodeSelector ?? {}) as Record<string, string>;
  if (!compileLabelSelector({ matchLabels: selector })(node.metadata.labels ?? {}))
    return "node(s) didn't match Pod's node affinity/selector";
  if (isHostPortTaken(api, hostPortsOf(pod)))
    return "node(s) didn't have free ports for the requested pod ports";
  return undefined;
}

/** On any node: they are all this machine. */
function isHostPortTaken(api: ClusterApi, wanted: readonly number[]): boolean {
  if (wanted.length === 0) return false;
  const bound = api.list('pods').filter((pod) => pod.spec.nodeName && !isTerminal(pod));
  return bound.some((pod) => hostPortsOf(pod).some((port) => wanted.includes(port)));
}

function hostPortsOf(pod: KubeObject): number[] {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers] as {
    ports?: { hostPort?: number }[];
  }[];
  return containers.flatMap(({ ports = [] }) => ports.flatMap(({ hostPort }) => hostPort || []));
}

async function markUnschedulable(
  { api, events, now }: ControllerContext,
  pod: KubeObject,
  { reason, nodeCount }: { reason: string; nodeCount: number },
): Promise<void> {
  const message =
    `0/${nodeCount} nodes are available: ${reason}. preemption: 0/${nodeCount} nodes are available: ` +
    `${nodeCount} Preemption is not helpful for scheduling.`;
  const before = conditionOf(pod, 'PodScheduled');
  if (before?.status === 'False' && before.message === message) return;
  const { namespace, name } = pod.metadata;
  await api.modify(
    'pods',
    namespace,
    name,
    (draft) => {
      const conditions = ((draft.status?.conditions ?? []) as Condition[]).filter(
        (condition) => condition.type !== 'PodScheduled',
      );
      const lastTransitionTime =
        before?.status === 'False' ? (before.lastTransitionTime ?? timeText(now())) : timeText(now());
      const condition: Condition = {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message,
        lastTransitionTime,
      };
      draft.status = { ...draft.status, phase: 'Pending', conditions: [...conditions, condition] };
    },
    'status',
  );
  events.warning(pod, 'FailedScheduling', message);
}
