/**
 * Keeps the function's service account token out of the sidecar, which calls no API server. Kubernetes mounts it
 * into every container that has nothing at its place, also into one that a webhook has added. So something is there: a
 * volume without a file. Not an emptyDir: for its sake `kubectl drain` and the cluster autoscaler would leave the
 * pod where it is. Pure.
 */
import type { V1Container, V1Pod, V1PodSpec } from '../../common/kube/client.ts';

export const NO_TOKEN_VOLUME = 'slimfaas-no-token';
const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

type Mounts = NonNullable<V1Container['volumeMounts']>;

/** Undefined where the pod says that it wants no token at all. */
export function noTokenMounts(pod: V1Pod): Mounts | undefined {
  if (pod.spec?.automountServiceAccountToken === false) return undefined;
  return [{ name: NO_TOKEN_VOLUME, mountPath: TOKEN_PATH, readOnly: true }];
}

/** Changes `spec` in place. */
export function addNoTokenVolume(spec: V1PodSpec): void {
  if (spec.volumes?.some(({ name }) => name === NO_TOKEN_VOLUME)) return;
  // With what the API server would fill in, so that the pod reads back as it was injected.
  spec.volumes = [...(spec.volumes ?? []), { name: NO_TOKEN_VOLUME, downwardAPI: { defaultMode: 420 } }];
}
