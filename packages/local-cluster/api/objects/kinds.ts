/**
 * The kinds that this API serves, as one table: where each lives in the URL, its names, and which
 * subresources it has. One version a kind; no custom resources.
 */

export interface Kind {
  readonly group: string;
  readonly version: string;
  /** Plural, as in the URL. */
  readonly resource: string;
  readonly kind: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly isNamespaced: boolean;
  /** `status` is written through its own subresource only. */
  readonly hasStatus: boolean;
  readonly hasScale: boolean;
  /** metadata.generation counts the changes of everything but metadata and status. */
  readonly hasGeneration: boolean;
  readonly inAll: boolean;
}

/** Letters of the third column: N namespaced, S status, C scale, G generation, A category `all`. */
type Row = [apiVersion: string, resource: string, flags: string, kind: string, ...shortNames: string[]];

const ROWS: readonly Row[] = [
  ['v1', 'namespaces', 'S', 'Namespace', 'ns'],
  ['v1', 'nodes', 'S', 'Node', 'no'],
  ['v1', 'pods', 'NSA', 'Pod', 'po'],
  ['v1', 'services', 'NSA', 'Service', 'svc'],
  ['v1', 'endpoints', 'N', 'Endpoints', 'ep'],
  ['v1', 'secrets', 'N', 'Secret'],
  ['v1', 'configmaps', 'N', 'ConfigMap', 'cm'],
  ['v1', 'serviceaccounts', 'N', 'ServiceAccount', 'sa'],
  ['v1', 'events', 'N', 'Event', 'ev'],
  ['v1', 'persistentvolumeclaims', 'NS', 'PersistentVolumeClaim', 'pvc'],
  ['v1', 'persistentvolumes', 'S', 'PersistentVolume', 'pv'],
  ['v1', 'resourcequotas', 'NS', 'ResourceQuota', 'quota'],
  ['v1', 'limitranges', 'N', 'LimitRange', 'limits'],
  ['apps/v1', 'deployments', 'NSCGA', 'Deployment', 'deploy'],
  ['apps/v1', 'replicasets', 'NSCGA', 'ReplicaSet', 'rs'],
  ['apps/v1', 'statefulsets', 'NSCGA', 'StatefulSet', 'sts'],
  ['apps/v1', 'daemonsets', 'NSGA', 'DaemonSet', 'ds'],
  ['apps/v1', 'controllerrevisions', 'N', 'ControllerRevision'],
  ['batch/v1', 'jobs', 'NSGA', 'Job'],
  ['batch/v1', 'cronjobs', 'NSGA', 'CronJob', 'cj'],
  ['autoscaling/v2', 'horizontalpodautoscalers', 'NSA', 'HorizontalPodAutoscaler', 'hpa'],
  ['policy/v1', 'poddisruptionbudgets', 'NSG', 'PodDisruptionBudget', 'pdb'],
  ['coordination.k8s.io/v1', 'leases', 'N', 'Lease'],
  ['discovery.k8s.io/v1', 'endpointslices', 'N', 'EndpointSlice'],
  ['events.k8s.io/v1', 'events', 'N', 'Event', 'ev'],
  ['networking.k8s.io/v1', 'networkpolicies', 'NG', 'NetworkPolicy', 'netpol'],
  ['networking.k8s.io/v1', 'ingresses', 'NSG', 'Ingress', 'ing'],
  ['rbac.authorization.k8s.io/v1', 'roles', 'N', 'Role'],
  ['rbac.authorization.k8s.io/v1', 'rolebindings', 'N', 'RoleBinding'],
  ['rbac.authorization.k8s.io/v1', 'clusterroles', '', 'ClusterRole'],
  ['rbac.authorization.k8s.io/v1', 'clusterrolebindings', '', 'ClusterRoleBinding'],
  ['scheduling.k8s.io/v1', 'priorityclasses', '', 'PriorityClass', 'pc'],
  ['admissionregistration.k8s.io/v1', 'mutatingwebhookconfigurations', 'G', 'MutatingWebhookConfiguration'],
  [
    'admissionregistration.k8s.io/v1',
    'validatingwebhookconfigurations',
    'G',
    'ValidatingWebhookConfiguration',
  ],
  ['admissionregistration.k8s.io/v1', 'validatingadmissionpolicies', 'SG', 'ValidatingAdmissionPolicy'],
  [
    'admissionregistration.k8s.io/v1',
    'validatingadmissionpolicybindings',
    '',
    'ValidatingAdmissionPolicyBinding',
  ],
];

/** The group of `apps/v1` is `apps`; that of `v1` is the empty one. */
function splitApiVersion(apiVersion: string): { group: string; version: string } {
  const [first = '', second] = apiVersion.split('/');
  return second === undefined ? { group: '', version: first } : { group: first, version: second };
}

function kindOfRow([apiVersion, resource, flags, kind, ...shortNames]: Row): Kind {
  return {
    ...splitApiVersion(apiVersion),
    resource,
    kind,
    singular: kind.toLowerCase(),
    shortNames,
    isNamespaced: flags.includes('N'),
    hasStatus: flags.includes('S'),
    hasScale: flags.includes('C'),
    hasGeneration: flags.includes('G'),
    inAll: flags.includes('A'),
  };
}

export const KINDS: readonly Kind[] = ROWS.map(kindOfRow);

export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

const BY_PATH = new Map(KINDS.map((kind) => [`${apiVersionOf(kind)}/${kind.resource}`, kind]));
/** The first row wins, so `events` are core events to those that name no group. */
const BY_RESOURCE = new Map(KINDS.toReversed().map((kind) => [kind.resource, kind]));

export function findKind(group: string, version: string, resource: string): Kind | undefined {
  return BY_PATH.get(`${apiVersionOf({ group, version })}/${resource}`);
}

/** For code in this process, which names a plural it knows; a wrong one is a bug there. */
export function kindOf(resource: string): Kind {
  const kind = BY_RESOURCE.get(resource);
  if (kind === undefined) throw new RangeError(`no such resource: ${resource}`);
  return kind;
}
