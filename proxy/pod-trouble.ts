/**
 * Why a pod does not come up, in words for the caller who waits for it: read from what Kubernetes itself
 * reports on the pod. Pure; types only. Gives up events: what only an event says is not seen.
 */
import type { V1Pod } from '../common/kube/client.ts';

type ContainerStatus = NonNullable<NonNullable<V1Pod['status']>['containerStatuses']>[number];

/** Waiting reasons of a pod that is on its way as it should be. */
const ON_ITS_WAY = new Set(['ContainerCreating', 'PodInitializing']);

/** Undefined for a ready pod and for one that simply is not up yet. */
export function podTrouble(pod: V1Pod): string | undefined {
  const name = pod.metadata?.name ?? '';
  const status = pod.status;
  const unscheduled = status?.conditions?.find((c) => c.type === 'PodScheduled' && c.status === 'False');
  if (unscheduled)
    return `pod ${name} cannot be scheduled: ${unscheduled.message ?? unscheduled.reason ?? ''}`;
  if (status?.phase === 'Failed') return `pod ${name} failed: ${status.message ?? status.reason ?? ''}`;
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  for (const container of containers) {
    const trouble = waitingTrouble(container) ?? crashTrouble(container);
    if (trouble) return `pod ${name}, container ${container.name}: ${trouble}`;
  }
  const unready = status?.containerStatuses?.find((c) => c.state?.running && !c.ready);
  return unready ? `pod ${name}, container ${unready.name}: runs, but its readiness probe fails` : undefined;
}

function waitingTrouble({ state, lastState }: ContainerStatus): string | undefined {
  const reason = state?.waiting?.reason;
  if (!reason || ON_ITS_WAY.has(reason)) return undefined;
  const message = state.waiting?.message ? `: ${state.waiting.message}` : '';
  const last = lastState?.terminated;
  const exit = last ? ` (last exit code ${last.exitCode}${last.reason ? `, ${last.reason}` : ''})` : '';
  return `${WORDS[reason] ?? reason}${message}${exit}`;
}

function crashTrouble({ state }: ContainerStatus): string | undefined {
  const ended = state?.terminated;
  if (!ended || ended.exitCode === 0) return undefined;
  return `it crashed with exit code ${ended.exitCode}${ended.reason ? ` (${ended.reason})` : ''}`;
}

/** The kubelet's reasons, with what they mean in front, so that the message can be searched for either. */
const WORDS: Readonly<Record<string, string>> = {
  ErrImagePull: 'image pull failed (ErrImagePull)',
  ImagePullBackOff: 'image pull failed (ImagePullBackOff)',
  InvalidImageName: 'image pull failed (InvalidImageName)',
  ErrImageNeverPull: 'image pull failed (ErrImageNeverPull)',
  CrashLoopBackOff: 'it crashes again and again (CrashLoopBackOff)',
  CreateContainerConfigError: 'its configuration is wrong (CreateContainerConfigError)',
};
