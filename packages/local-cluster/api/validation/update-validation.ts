/** What may not be changed once it is there. */
import { isDeepStrictEqual } from 'node:util';
import type { Causes } from '../objects/causes.ts';
import type { JsonObject } from '../http/json.ts';
import type { KubeObject } from '../objects/types.ts';

/** What a StatefulSet's spec may change; the rest belongs to its identity. */
const STATEFUL_MUTABLE = [
  'minReadySeconds',
  'ordinals',
  'persistentVolumeClaimRetentionPolicy',
  'replicas',
  'revisionHistoryLimit',
  'template',
  'updateStrategy',
];

/** `nodeName` is what the scheduler sets once. */
const POD_MUTABLE = ['activeDeadlineSeconds', 'nodeName', 'terminationGracePeriodSeconds', 'tolerations'];

function without(spec: JsonObject, fields: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(spec).filter(([key]) => !fields.includes(key)));
}

/** A pod's images may change, and nothing else of its containers. */
function podIdentity(spec: JsonObject): JsonObject {
  const identity = without(spec, POD_MUTABLE);
  for (const list of ['containers', 'initContainers']) {
    const containers = identity[list] as JsonObject[] | undefined;
    if (containers) identity[list] = containers.map((container) => without(container, ['image']));
  }
  return identity;
}

function checkPod(object: KubeObject, before: KubeObject, causes: Causes): void {
  const { nodeName } = before.spec;
  if (nodeName && object.spec.nodeName !== nodeName) {
    causes.invalid('spec.nodeName', object.spec.nodeName, 'field is immutable once the pod is assigned');
  }
  if (isDeepStrictEqual(podIdentity(object.spec), podIdentity(before.spec))) return;
  causes.forbidden(
    'spec',
    'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds`',
  );
}

/** Pods that the old selector found would be orphaned in silence. */
function checkSelector(object: KubeObject, before: KubeObject, causes: Causes): void {
  if (isDeepStrictEqual(object.spec.selector, before.spec.selector)) return;
  causes.invalid('spec.selector', object.spec.selector, 'field is immutable');
}

function checkStatefulSet(object: KubeObject, before: KubeObject, causes: Causes): void {
  if (isDeepStrictEqual(without(object.spec, STATEFUL_MUTABLE), without(before.spec, STATEFUL_MUTABLE)))
    return;
  const list = STATEFUL_MUTABLE.map((field) => `'${field}'`).join(', ');
  causes.forbidden('spec', `updates to statefulset spec for fields other than ${list} are forbidden`);
}

/** From none to one it may change: that is how it is allocated. */
function checkClusterIp(object: KubeObject, before: KubeObject, causes: Causes): void {
  const { clusterIP } = before.spec;
  if (!clusterIP || object.spec.type === 'ExternalName' || object.spec.clusterIP === clusterIP) return;
  causes.invalid('spec.clusterIP', object.spec.clusterIP, 'may not change once set');
}

/** Otherwise who may bind could hand out a role that they were not trusted with. */
function checkRoleRef(object: KubeObject, before: KubeObject, causes: Causes): void {
  if (isDeepStrictEqual(object.roleRef, before.roleRef)) return;
  causes.invalid('roleRef', object.roleRef, 'cannot change roleRef');
}

function checkFrozenData(object: KubeObject, before: KubeObject, causes: Causes): void {
  if (before.immutable === true && !isDeepStrictEqual(object.data, before.data)) {
    causes.forbidden('data', 'field is immutable when `immutable` is set');
  }
  if (before.kind === 'Secret' && object.type !== before.type) {
    causes.invalid('type', object.type, 'field is immutable');
  }
}

type UpdateCheck = (object: KubeObject, before: KubeObject, causes: Causes) => void;

const CHECKS: Readonly<Record<string, UpdateCheck>> = {
  pods: checkPod,
  deployments: checkSelector,
  replicasets: checkSelector,
  daemonsets: checkSelector,
  statefulsets: checkStatefulSet,
  services: checkClusterIp,
  rolebindings: checkRoleRef,
  clusterrolebindings: checkRoleRef,
  secrets: checkFrozenData,
  configmaps: checkFrozenData,
};

export function checkUpdate(resource: string, object: KubeObject, before: KubeObject, causes: Causes): void {
  CHECKS[resource]?.(object, before, causes);
}
