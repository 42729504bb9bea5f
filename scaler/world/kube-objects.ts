/**
 * The scaler's views of workloads and pods: a few fields, so that ten thousand workloads fit in memory as small
 * records. Pure; the library is imported for its types only.
 */
import type { V1Pod } from '../../common/kube/client.ts';
import { readPod, type PodModel } from '../../common/kube/model/pod.ts';
import { ownerKeyOf, type WorkloadModel } from '../../common/kube/model/workload.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { scrapeHint, type ScrapeHint } from '../../common/kube/model/scrape-hint.ts';

/** All that there is to read of one; without `fn` it may still be a dependency. */
export type Workload = WorkloadModel;

export interface Pod extends Pick<PodModel, 'name' | 'uid' | 'ip' | 'isReady' | 'trouble'> {
  /** `kind/namespace/name` of the workload: a Deployment and a StatefulSet may share a name. */
  readonly ownerKey: string;
  /** Deleted or ended: it takes no new work. */
  readonly isEnding: boolean;
  readonly hasSidecar: boolean;
  /** It asks to be scraped. */
  readonly scrape: ScrapeHint | undefined;
}

/** Undefined for a pod that no workload of ours owns. */
export function podOf(object: V1Pod): Pod | undefined {
  const pod = readPod(object);
  if (!pod || pod.owner.kind === 'Other') return undefined;
  return {
    name: pod.name,
    uid: pod.uid,
    ownerKey: ownerKeyOf(pod.owner.kind, functionKey(pod.owner.id)),
    ip: pod.ip,
    isReady: pod.isReady,
    isEnding: pod.isEnded || pod.isTerminating,
    hasSidecar: pod.sidecar !== undefined,
    trouble: pod.trouble,
    scrape: scrapeHint(pod.annotations),
  };
}
