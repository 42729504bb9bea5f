/**
 * `kubectl drain`: no new pod comes to a node, and those that are there are evicted, each as soon as its
 * PodDisruptionBudget allows it.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { StatusError, ClusterApi, KubeObject } from './api/objects/types.ts';

export interface NodeDrainOptions {
  /** `local` by default. */
  readonly node?: string;
  /** Pods that stay. */
  readonly except?: (pod: KubeObject) => boolean;
  readonly timeoutMs?: number;
}

/** kubectl asks again after 5 s; nobody gains from waiting that long here. */
const EVICTION_RETRY_MS = 50;

/**
 * Resolves with the uncordon when the pods are gone.
 * @throws when a budget forbids it until the time is over; the node then stays cordoned, as with kubectl
 */
export async function drain(api: ClusterApi, options: NodeDrainOptions = {}): Promise<() => Promise<void>> {
  const { node = 'local', except = () => false, timeoutMs = 60_000 } = options;
  const cordon = async (isCordoned: boolean) => {
    await api.modify('nodes', undefined, node, (draft) => {
      draft['spec'] = { ...draft['spec'], unschedulable: isCordoned };
    });
  };
  await cordon(true);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const left = api.list('pods').filter((pod) => pod['spec'].nodeName === node && !except(pod));
    if (left.length === 0) return () => cordon(false);
    const refusals = await Promise.all(left.filter(isStaying).map((pod) => evict(api, pod)));
    const why = refusals.find((refusal) => refusal !== undefined)?.message ?? 'pods are still ending';
    if (performance.now() > deadline) throw new Error(`node ${node} is not empty: ${why}`);
    await sleep(EVICTION_RETRY_MS);
  }
}

function isStaying(pod: KubeObject): boolean {
  return pod.metadata.deletionTimestamp === undefined;
}

/** The budget's refusal, or undefined. */
async function evict(api: ClusterApi, { metadata }: KubeObject): Promise<StatusError | undefined> {
  try {
    await api.evict(metadata.namespace ?? 'default', metadata.name);
    return undefined;
  } catch (error) {
    const { code } = error as StatusError;
    if (code === 404) return undefined; // it has gone in the meantime
    if (code === 429) return error as StatusError;
    throw error;
  }
}
