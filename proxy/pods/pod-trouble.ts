/** A pod's trouble in words for the caller that waits for it: it names the pod. Pure; types only. */
import type { V1Pod } from '../../common/kube/client.ts';
import { isFailing, troubleOfPod } from '../../common/kube/model/trouble.ts';

export interface PodTrouble {
  readonly text: string;
  /** It will not come up by waiting alone. */
  readonly isFailing: boolean;
}

/** Undefined for a ready pod. A pod that is on its way says what it is at: it may be at it for long. */
export function podTrouble(pod: V1Pod): PodTrouble | undefined {
  const trouble = troubleOfPod(pod);
  if (!trouble) return undefined;
  const comma = trouble.message.startsWith('container ') ? ',' : '';
  const text = `pod ${pod.metadata?.name ?? ''}${comma} ${trouble.message}`;
  return { text, isFailing: isFailing(trouble) };
}
