/**
 * The defaults that Kubernetes writes into objects, as far as kubectl, the controllers, the kubelet and the
 * parts can feel them. They mutate a draft and are idempotent: they run after decoding and again after
 * mutating admission, since a webhook's container has none yet.
 */
import { fill } from '../http/json.ts';
import { defaultPodSpec } from './pod-defaults.ts';
import type { KubeObject } from './types.ts';

/** Objects of every kind: looked into by field, as the manifests have them. */
type Draft = KubeObject;

function defaultTemplate(object: Draft): void {
  const template = object.spec?.template;
  if (template?.spec) defaultPodSpec(template.spec);
}

/** A strategy that is named but not described still needs its numbers: controllers read them. */
function rolling(kind: 'strategy' | 'updateStrategy', parameters: Record<string, unknown>) {
  return (object: Draft) => {
    object.spec[kind] ??= {};
    object.spec[kind].type ??= 'RollingUpdate';
    if (object.spec[kind].type !== 'RollingUpdate') return;
    object.spec[kind].rollingUpdate ??= {};
    fill(object.spec[kind].rollingUpdate, parameters);
  };
}

function defaultDeployment(object: Draft): void {
  object.spec ??= {};
  fill(object.spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 });
  rolling('strategy', { maxUnavailable: '25%', maxSurge: '25%' })(object);
  defaultTemplate(object);
}

function defaultStatefulSet(object: Draft): void {
  object.spec ??= {};
  fill(object.spec, { replicas: 1, revisionHistoryLimit: 10, podManagementPolicy: 'OrderedReady' });
  rolling('updateStrategy', { partition: 0 })(object);
  defaultTemplate(object);
}

/** No strategy: a ReplicaSet only counts. */
function defaultReplicaSet(object: Draft): void {
  object.spec ??= {};
  fill(object.spec, { replicas: 1 });
  defaultTemplate(object);
}

function defaultDaemonSet(object: Draft): void {
  object.spec ??= {};
  fill(object.spec, { revisionHistoryLimit: 10 });
  rolling('updateStrategy', { maxUnavailable: 1, maxSurge: 0 })(object);
  defaultTemplate(object);
}

/**
 * The ClusterIP is not chosen here but by the services' room, which knows the free addresses. A real API server does
 * it itself. So here a Service is there for a moment without an address.
 */
function defaultService(object: Draft): void {
  object.spec ??= {};
  fill(object.spec, { type: 'ClusterIP', sessionAffinity: 'None' });
  if (object.spec.type !== 'ExternalName') fill(object.spec, { internalTrafficPolicy: 'Cluster' });
  if (/NodePort|LoadBalancer/.test(object.spec.type)) fill(object.spec, { externalTrafficPolicy: 'Cluster' });
  for (const port of object.spec.ports ?? []) fill(port, { protocol: 'TCP', targetPort: port.port });
}

/** `stringData` is for writing only: it is never read back. */
function defaultSecret(object: Draft): void {
  fill(object, { type: 'Opaque' });
  const plain = Object.entries(object.stringData ?? {});
  if (plain.length > 0) object.data ??= {};
  for (const [key, value] of plain) object.data[key] = Buffer.from(String(value)).toString('base64');
  delete object.stringData;
}

function defaultNamespace(object: Draft): void {
  object.metadata.labels ??= {};
  // What namespaceSelectors select by; the API server owns this label.
  object.metadata.labels['kubernetes.io/metadata.name'] = object.metadata.name;
  object.spec ??= {};
  fill(object.spec, { finalizers: ['kubernetes'] });
  object.status ??= {};
  fill(object.status, { phase: 'Active' });
}

/** Absent selectors select everything, so they are stored as empty ones. */
function defaultWebhooks(object: Draft): void {
  for (const webhook of object.webhooks ?? []) {
    fill(webhook, {
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      timeoutSeconds: 10,
    });
    if (object.kind === 'MutatingWebhookConfiguration') fill(webhook, { reinvocationPolicy: 'Never' });
    for (const rule of webhook.rules ?? []) fill(rule, { scope: '*' });
    if (webhook.clientConfig?.service) fill(webhook.clientConfig.service, { port: 443 });
  }
}

function defaultBinding(object: Draft): void {
  const group = 'rbac.authorization.k8s.io';
  if (object.roleRef) fill(object.roleRef, { apiGroup: group });
  for (const subject of object.subjects ?? []) {
    // A service account's group is the empty one, which is written by leaving it out.
    if (subject.kind !== 'ServiceAccount') fill(subject, { apiGroup: group });
  }
}

function defaultPod(object: Draft): void {
  object.spec ??= {};
  defaultPodSpec(object.spec);
  // The ServiceAccount admission plugin's part; the token itself is the kubelet's business here.
  fill(object.spec, { serviceAccountName: 'default' });
  object.spec.serviceAccount = object.spec.serviceAccountName;
}

const DEFAULTS: Readonly<Record<string, (object: Draft) => void>> = {
  pods: defaultPod,
  deployments: defaultDeployment,
  statefulsets: defaultStatefulSet,
  replicasets: defaultReplicaSet,
  daemonsets: defaultDaemonSet,
  jobs: defaultTemplate,
  services: defaultService,
  secrets: defaultSecret,
  namespaces: defaultNamespace,
  mutatingwebhookconfigurations: defaultWebhooks,
  validatingwebhookconfigurations: defaultWebhooks,
  rolebindings: defaultBinding,
  clusterrolebindings: defaultBinding,
  horizontalpodautoscalers: (object) => fill(object.spec ?? {}, { minReplicas: 1 }),
};

export function applyDefaults(resource: string, draft: Draft): void {
  DEFAULTS[resource]?.(draft);
}

/** What a new object's status is, whatever its creator wrote there. */
export function initialStatus(resource: string, object: Draft): unknown {
  if (resource === 'nodes') return object.status ?? {};
  if (resource === 'namespaces') return { phase: 'Active' };
  if (resource === 'pods') return { phase: 'Pending', qosClass: qosClass(object.spec) };
  if (resource === 'persistentvolumeclaims') return { phase: 'Pending' };
  return {};
}

interface Resources {
  readonly resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
}

function isSet(values?: Record<string, string>): boolean {
  return Object.keys(values ?? {}).length > 0;
}

/** What the kubelet evicts first when memory is short; people see it in `describe`. */
function qosClass(spec: { containers?: Resources[]; initContainers?: Resources[] }): string {
  const all = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((c) => c.resources ?? {});
  if (!all.some((resources) => isSet(resources.limits) || isSet(resources.requests))) return 'BestEffort';
  const isGuaranteed = all.every(({ limits, requests }) =>
    ['cpu', 'memory'].every((name) => limits?.[name] !== undefined && limits[name] === requests?.[name]),
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

/** Seconds, as Kubernetes writes times. */
export function timestamp(ms = Date.now()): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
