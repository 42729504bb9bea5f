/**
 * Refusing what Kubernetes would refuse, as far as people writing manifests meet it: names, labels, and the
 * required or impossible parts of each kind. All faults are reported at once.
 */
import {
  Causes,
  checkName,
  DNS_1035_LABEL,
  DNS_LABEL,
  DNS_SUBDOMAIN,
  PATH_SEGMENT,
} from '../objects/causes.ts';
import { invalid } from '../objects/api-errors.ts';
import type { JsonObject } from '../http/json.ts';
import type { Kind } from '../objects/kinds.ts';
import { checkPodSpec } from './pod-validation.ts';
import { compileLabelSelector } from '../objects/selectors.ts';
import type { KubeObject } from '../objects/types.ts';
import { checkUpdate } from './update-validation.ts';
import { checkWebhooks } from '../admission/webhook-validation.ts';

type Check = (object: KubeObject, causes: Causes) => void;

/** Throws 422 with everything that is wrong. `before` is the stored state on updates. */
export function validate(kind: Kind, object: KubeObject, before: KubeObject | undefined): void {
  const causes = new Causes();
  checkMetadata(kind, object, causes);
  CHECKS[kind.resource]?.(object, causes);
  if (before !== undefined) checkUpdate(kind.resource, object, before, causes);
  if (causes.list.length === 0) return;
  throw invalid(kind, object.metadata.name ?? object.metadata.generateName ?? '', causes.list);
}

/** Namespaces and services become DNS labels; roles are only ever looked up. All others: subdomains. */
const NAME_RULES: Readonly<Record<string, typeof DNS_LABEL>> = {
  namespaces: DNS_LABEL,
  services: DNS_1035_LABEL,
  roles: PATH_SEGMENT,
  rolebindings: PATH_SEGMENT,
  clusterroles: PATH_SEGMENT,
  clusterrolebindings: PATH_SEGMENT,
};

const QUALIFIED_KEY = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/i;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const LABEL_WHY =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character, at most 63 characters (e.g. 'MyValue',  or 'my_value',  or '12345')";
const KEY_WHY =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character, at most 63 characters (e.g. 'MyName',  or 'my.name',  or '123-abc'), with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

function checkLabels(path: string, labels: unknown, causes: Causes): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (!QUALIFIED_KEY.test(key)) causes.invalid(path, key, KEY_WHY);
    if (!LABEL_VALUE.test(String(value))) causes.invalid(path, value, LABEL_WHY);
  }
}

function checkMetadata(kind: Kind, { metadata }: KubeObject, causes: Causes): void {
  const rule = NAME_RULES[kind.resource] ?? DNS_SUBDOMAIN;
  if (metadata.name) checkName(causes, 'metadata.name', metadata.name, rule);
  else if (metadata.generateName) {
    // A trailing hyphen is fine here: something follows it.
    checkName(causes, 'metadata.generateName', metadata.generateName.replace(/-$/, ''), rule);
  } else causes.required('metadata.name', 'name or generateName is required');
  if (kind.isNamespaced && !metadata.namespace) causes.required('metadata.namespace');
  checkLabels('metadata.labels', metadata.labels, causes);
  for (const key of Object.keys(metadata.annotations ?? {})) {
    if (!QUALIFIED_KEY.test(key)) causes.invalid('metadata.annotations', key, KEY_WHY);
  }
}

/** A StatefulSet's claims are volumes of its pods. */
function withClaims({ spec }: KubeObject): JsonObject {
  const claims = (spec.volumeClaimTemplates ?? []) as { metadata?: { name?: string } }[];
  const volumes = claims.map(({ metadata }) => ({ name: metadata?.name }));
  return { ...spec.template.spec, volumes: [...(spec.template.spec.volumes ?? []), ...volumes] };
}

/**
 * The selector is compared with the template's labels, since a mismatch would make pods without end: each new one
 * would not count.
 */
function checkTemplate(object: KubeObject, causes: Causes): void {
  const { template, selector } = object.spec;
  if (!template?.spec) return causes.required('spec.template', 'a pod template with a spec');
  checkPodSpec(causes, 'spec.template.spec', withClaims(object));
  checkLabels('spec.template.metadata.labels', template.metadata?.labels, causes);
  if (template.spec.restartPolicy !== undefined) {
    causes.oneOf('spec.template.spec.restartPolicy', template.spec.restartPolicy, ['Always']);
  }
  if (!selector) return causes.required('spec.selector');
  if (!selector.matchLabels && !selector.matchExpressions) {
    return causes.invalid('spec.selector', selector, 'empty selector is invalid for this kind');
  }
  const labels = template.metadata?.labels ?? {};
  if (!compileLabelSelector(selector)(labels)) {
    causes.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
  }
}

const NOT_NEGATIVE = [0, Infinity] as const;

/** What the four kinds that make pods have in common. */
const workload =
  (updates: 'strategy' | 'updateStrategy', types: readonly string[]): Check =>
  (object, causes) => {
    if (!object.spec) return causes.required('spec');
    causes.range('spec.replicas', object.spec.replicas, NOT_NEGATIVE);
    causes.range('spec.minReadySeconds', object.spec.minReadySeconds, NOT_NEGATIVE);
    causes.oneOf(`spec.${updates}.type`, object.spec[updates]?.type, types);
    if (object.spec[updates]?.type === 'Recreate' && object.spec[updates].rollingUpdate) {
      causes.forbidden(
        `spec.${updates}.rollingUpdate`,
        "may not be specified when strategy `type` is 'Recreate'",
      );
    }
    checkTemplate(object, causes);
  };

function checkService(object: KubeObject, causes: Causes): void {
  if (!object.spec) return causes.required('spec');
  const { type, ports = [], clusterIP } = object.spec;
  causes.oneOf('spec.type', type, ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']);
  if (type === 'ExternalName') return;
  if (ports.length === 0 && clusterIP !== 'None') causes.required('spec.ports');
  const names = new Set<string>();
  (ports as { name?: string; port?: number }[]).forEach(({ name, port }, index) => {
    const path = `spec.ports[${index}]`;
    if (port === undefined) causes.required(`${path}.port`);
    causes.range(`${path}.port`, port, [1, 65_535]);
    if (!name && ports.length > 1) causes.required(`${path}.name`);
    if (name !== undefined && names.has(name)) causes.duplicate(`${path}.name`, name);
    names.add(name ?? '');
  });
}

/** Either says how many may be away; both could contradict each other. */
function checkBudget(object: KubeObject, causes: Causes): void {
  if (object.spec?.minAvailable === undefined || object.spec?.maxUnavailable === undefined) return;
  causes.invalid('spec', object.spec, 'minAvailable and maxUnavailable cannot be both set');
}

function checkAutoscaler(object: KubeObject, causes: Causes): void {
  const { maxReplicas, minReplicas, scaleTargetRef } = object.spec ?? {};
  if (maxReplicas === undefined) causes.required('spec.maxReplicas');
  causes.range('spec.maxReplicas', maxReplicas, [1, Infinity]);
  if (minReplicas > maxReplicas) {
    causes.invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`');
  }
  if (!scaleTargetRef?.name) causes.required('spec.scaleTargetRef.name');
}

function checkRole(object: KubeObject, causes: Causes): void {
  (object.rules ?? []).forEach((rule: { verbs?: string[] }, index: number) => {
    if (!rule.verbs?.length)
      causes.required(`rules[${index}].verbs`, 'verbs must contain at least one value');
  });
}

function checkBinding(object: KubeObject, causes: Causes): void {
  const { kind, name } = object.roleRef ?? {};
  const allowed = object.kind === 'RoleBinding' ? ['ClusterRole', 'Role'] : ['ClusterRole'];
  if (!name) causes.required('roleRef.name');
  causes.oneOf('roleRef.kind', kind ?? '', allowed);
  (object.subjects ?? []).forEach((subject: { kind?: string; namespace?: string }, index: number) => {
    causes.oneOf(`subjects[${index}].kind`, subject.kind ?? '', ['ServiceAccount', 'User', 'Group']);
    const isHomeless = subject.kind === 'ServiceAccount' && !subject.namespace;
    if (isHomeless && object.kind === 'ClusterRoleBinding') causes.required(`subjects[${index}].namespace`);
  });
}

/** The value is left out of the message: it is a secret, however malformed. */
function checkSecret(object: KubeObject, causes: Causes): void {
  for (const [key, value] of Object.entries(object.data ?? {})) {
    if (typeof value !== 'string' || !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value)) {
      causes.invalid(`data[${key}]`, '<redacted>', 'must be base64; plain text belongs in stringData');
    }
  }
}

function checkLease(object: KubeObject, causes: Causes): void {
  causes.range('spec.leaseDurationSeconds', object.spec?.leaseDurationSeconds, [1, Infinity]);
}

const CHECKS: Readonly<Record<string, Check>> = {
  pods: (object, causes) => checkPodSpec(causes, 'spec', object.spec ?? {}),
  deployments: workload('strategy', ['Recreate', 'RollingUpdate']),
  statefulsets: workload('updateStrategy', ['OnDelete', 'RollingUpdate']),
  daemonsets: workload('updateStrategy', ['OnDelete', 'RollingUpdate']),
  replicasets: workload('strategy', []),
  services: checkService,
  poddisruptionbudgets: checkBudget,
  horizontalpodautoscalers: checkAutoscaler,
  roles: checkRole,
  clusterroles: checkRole,
  rolebindings: checkBinding,
  clusterrolebindings: checkBinding,
  secrets: checkSecret,
  leases: checkLease,
  mutatingwebhookconfigurations: checkWebhooks,
  validatingwebhookconfigurations: checkWebhooks,
};
