/** What the pods of a workload are worth, by what Kubernetes says of them and by what their own sidecars say. Pure. */
import { isFailing, type Trouble } from '../../common/kube/model/trouble.ts';
import type { Pod, Workload } from '../world/kube-objects.ts';
import type { WorldView } from '../world/world.ts';
import type { ObservedFunction } from './function-record.ts';

export interface PodSight {
  readonly world: WorldView;
  readonly of: (key: string) => ObservedFunction | undefined;
}

/** Ready as Kubernetes says, or as the pod's own sidecar has said already; and its app takes calls, as far as that says. */
export function readyPods(workload: Workload, { world, of }: PodSight): number {
  const pods = world.podsOf(workload);
  // Pods without the function label (not injected, or older than the webhook) are known by their number only.
  if (pods.size === 0) return workload.readyReplicas;
  const observed = of(workload.key);
  let ready = 0;
  for (const pod of pods.values()) {
    const isReady = pod.isReady || observed?.pods.get(pod.name)?.announcedReady === true;
    if (isReady && !pod.isEnding && !observed?.activity.pods.get(pod.name)?.trouble) ready++;
  }
  return ready;
}

/** Since when an app takes no calls, in the pod where that is so for longest; undefined: in none. */
export function appTroubleSinceMs(workload: Workload, { world, of }: PodSight): number | undefined {
  const reports = of(workload.key)?.activity.pods;
  let sinceMs: number | undefined;
  for (const pod of world.podsOf(workload).values()) {
    const trouble = pod.isEnding ? undefined : reports?.get(pod.name)?.trouble;
    if (trouble) sinceMs = Math.min(sinceMs ?? Infinity, trouble.sinceMs);
  }
  return sinceMs;
}

/** In a new pod nothing ran before; one that was ready when first observed may be busy. */
export function lacksReports(workload: Workload, observed: ObservedFunction, world: WorldView): boolean {
  for (const pod of world.podsOf(workload).values()) {
    const isOld = pod.hasSidecar && !pod.isEnding && observed.pods.get(pod.name)?.isOld === true;
    if (isOld && !observed.activity.pods.has(pod.name)) return true;
  }
  return false;
}

export function troublesOf(workload: Workload, { world, of }: PodSight): readonly Trouble[] {
  const creation = world.creationTroubleOf(workload);
  const troubles: Trouble[] = creation ? [creation] : [];
  const reports = of(workload.key)?.activity.pods;
  for (const pod of world.podsOf(workload).values()) {
    const trouble = pod.isEnding ? undefined : troubleOf(pod, reports?.get(pod.name)?.trouble?.why);
    if (trouble) troubles.push(trouble);
  }
  return troubles;
}

/** A sidecar knows the port and the last error, where Kubernetes says only that the pod is not ready, or that it is. */
function troubleOf({ name, trouble }: Pod, why: string | undefined): Trouble | undefined {
  if (why === undefined || (trouble && isFailing(trouble))) return trouble;
  return { kind: 'not-ready', message: `pod ${name}: its app takes no calls: ${why}` };
}
