/**
 * Pod Security admission for namespaces labelled `pod-security.kubernetes.io/enforce: restricted`: a pod that a
 * webhook changed must still be admitted there. The `baseline` level is not enforced.
 */
import { forbidden } from '../objects/api-errors.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { JsonObject } from '../http/json.ts';
import type { Kind } from '../objects/kinds.ts';
import type { Store } from '../objects/store.ts';
import type { KubeObject } from '../objects/types.ts';

const LABEL = 'pod-security.kubernetes.io/enforce';
const VOLUMES: ReadonlySet<string> = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);

export function checkPodSecurity(store: Store, kind: Kind, pod: KubeObject): void {
  const namespace = store.get('namespaces', undefined, pod.metadata.namespace ?? '');
  if (namespace?.metadata.labels?.[LABEL] !== 'restricted') return;
  const faults = restrictedFaults(pod.spec as JsonObject);
  if (faults.length === 0) return;
  throw forbidden(kind, pod.metadata.name, `violates PodSecurity "restricted:latest": ${faults.join(', ')}`);
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function context(owner: JsonObject): JsonObject {
  return isObject(owner.securityContext) ? owner.securityContext : {};
}

function restrictedFaults(spec: JsonObject): string[] {
  const faults: string[] = [];
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) {
    if (spec[field] === true) faults.push(`host namespaces (${field}=true)`);
  }
  for (const volume of objects(spec.volumes)) {
    const type = Object.keys(volume).find((key) => key !== 'name') ?? '';
    if (!VOLUMES.has(type))
      faults.push(`restricted volume types (volume "${String(volume.name)}" uses ${type})`);
  }
  const containers = [...objects(spec.initContainers), ...objects(spec.containers)];
  for (const container of containers) faults.push(...containerFaults(context(spec), container));
  return faults;
}

/** What a container does not say, the pod says for it. */
function containerFaults(pod: JsonObject, container: JsonObject): string[] {
  const own = context(container);
  const capabilities = isObject(own.capabilities) ? own.capabilities : {};
  const seccomp = (own.seccompProfile ?? pod.seccompProfile) as { type?: string } | undefined;
  const isAllowedSeccomp = seccomp?.type === 'RuntimeDefault' || seccomp?.type === 'Localhost';
  const isDropAll = Array.isArray(capabilities.drop) && capabilities.drop.includes('ALL');
  const added = Array.isArray(capabilities.add) ? capabilities.add : [];
  const who = `container "${String(container.name)}"`;
  const rules: [boolean, string][] = [
    [own.privileged === true, `privileged (${who} must not set securityContext.privileged=true)`],
    [
      own.allowPrivilegeEscalation !== false,
      `allowPrivilegeEscalation != false (${who} must set securityContext.allowPrivilegeEscalation=false)`,
    ],
    [
      !isDropAll || added.some((name) => name !== 'NET_BIND_SERVICE'),
      `unrestricted capabilities (${who} must set securityContext.capabilities.drop=["ALL"])`,
    ],
    [
      (own.runAsNonRoot ?? pod.runAsNonRoot) !== true,
      `runAsNonRoot != true (pod or ${who} must set securityContext.runAsNonRoot=true)`,
    ],
    [(own.runAsUser ?? pod.runAsUser) === 0, `runAsUser=0 (${who} must not run as root)`],
    [
      !isAllowedSeccomp,
      `seccompProfile (pod or ${who} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`,
    ],
  ];
  return rules.filter(([isBroken]) => isBroken).map(([, text]) => text);
}
