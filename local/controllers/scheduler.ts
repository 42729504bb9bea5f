/**
 * The scheduler of one node: a pod is bound in the same turn in which it appears, because what callers wait
 * for on a cold start is measured. It knows cordons, node selectors, host ports and faults made on request;
 * it takes the node's CPU and memory for endless.
 */
import { compileLabelSelector } from '../api/selectors.ts';
import type { ClusterApi, KubeObject } from '../api/types.ts';
import type { Running } from '../../common/lifecycle.ts';
import type { ControllerContext } from './context.ts';
import { conditionOf, isTerminal, keyOf, splitKey, timestamp, type Condition } from './objects.ts';
import { createWorkqueue } from './workqueue.ts';

export interface SchedulerOptions {
  readonly nodeName: string;
  /** A reason on request, such as `1 Insufficient cpu`; undefined: the pod fits. */
  readonly refuse?: (pod: KubeObject) => string | undefined;
}

export interface Scheduler extends Running {
  /** Looks again at every pod that waits: a fault or something else that no watch shows has changed. */
  retry(): void;
}

export function startScheduler(context: ControllerContext, options: SchedulerOptions): Scheduler {
  const { api, log } = context;
  const queue = createWorkqueue('scheduler', (key) => schedule(context, options, key), log);
  const retry = () => {
    for (const pod of api.list('pods')) if (isUnbound(pod)) queue.add(keyOf(pod));
  };
  const unwatchPods = api.watch('pods', (type, pod) => {
    if (type !== 'DELETED' && isUnbound(pod)) queue.add(keyOf(pod));
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

async function schedule(context: ControllerContext, options: SchedulerOptions, key: string): Promise<void> {
  const { namespace, name } = splitKey(key);
  const pod = context.api.get('pods', namespace, name);
  if (!pod || !isUnbound(pod)) return;
  const reason = unfit(context.api, options, pod);
  if (reason !== undefined) return refuse(context, pod, reason);
  await context.api.modify('pods', namespace, name, (draft) => {
    if (!isUnbound(draft)) return false;
    draft.spec.nodeName = options.nodeName;
    return undefined;
  });
  const message = `Successfully assigned ${namespace}/${name} to ${options.nodeName}`;
  context.events.normal(pod, 'Scheduled', message);
}

/** Why the one node does not do, worded as the real scheduler's plugins word it. */
function unfit(api: ClusterApi, { nodeName, refuse }: SchedulerOptions, pod: KubeObject): string | undefined {
  const node = api.get('nodes', undefined, nodeName);
  if (!node) return 'no nodes available to schedule pods';
  const onRequest = refuse?.(pod);
  if (onRequest !== undefined) return onRequest;
  if (node.spec?.unschedulable) return '1 node(s) were unschedulable';
  const selector = (pod.spec.nodeSelector ?? {}) as Record<string, string>;
  if (!compileLabelSelector({ matchLabels: selector })(node.metadata.labels ?? {}))
    return "1 node(s) didn't match Pod's node affinity/selector";
  if (isHostPortTaken(api, hostPortsOf(pod)))
    return "1 node(s) didn't have free ports for the requested pod ports";
  return undefined;
}

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

async function refuse(
  { api, events, now }: ControllerContext,
  pod: KubeObject,
  reason: string,
): Promise<void> {
  const message =
    `0/1 nodes are available: ${reason}. preemption: 0/1 nodes are available: ` +
    `1 Preemption is not helpful for scheduling.`;
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
        before?.status === 'False' ? (before.lastTransitionTime ?? timestamp(now())) : timestamp(now());
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
