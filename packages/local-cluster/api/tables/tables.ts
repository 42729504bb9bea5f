/**
 * The tables that `kubectl get` prints: Kubernetes' servers draw them, so this one must too. Columns as a real
 * cluster has them for what people look at here; name and age for the rest.
 */
import { qualified } from '../objects/api-errors.ts';
import type { Kind } from '../objects/kinds.ts';
import { podColumns } from './pod-table.ts';
import { age } from './table-cells.ts';
import type { Column } from './table-cells.ts';
import type { KubeObject } from '../objects/types.ts';

const NAME: Column = { name: 'Name', cell: ({ metadata }) => metadata.name };
const AGE: Column = { name: 'Age', cell: ({ metadata }, now) => age(metadata.creationTimestamp, now) };

function containers(key: 'name' | 'image'): Column['cell'] {
  return ({ spec }) =>
    (spec.template.spec.containers as Record<string, string>[]).map((container) => container[key]).join(',');
}

/** With `-o wide`, as for every workload. */
const WIDE_TEMPLATE: readonly Column[] = [
  { name: 'Containers', priority: 1, cell: containers('name') },
  { name: 'Images', priority: 1, cell: containers('image') },
];

/** An absent number is a zero: controllers leave zeros out of a status. */
const count = (name: string, cell: (object: KubeObject) => number | undefined): Column => ({
  name,
  type: 'integer',
  cell: (object) => cell(object) ?? 0,
});

const readyOf = (of: (object: KubeObject) => number | undefined): Column => ({
  name: 'Ready',
  cell: (object) => `${object.status?.readyReplicas ?? 0}/${of(object) ?? 0}`,
});

function servicePorts({ spec }: KubeObject): string {
  const ports = (spec.ports ?? []) as { port: number; nodePort?: number; protocol: string }[];
  const list = ports.map(
    ({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`,
  );
  return list.join(',') || '<none>';
}

/** A cordoned node is still Ready; both are shown. */
function nodeStatus({ spec, status }: KubeObject): string {
  const conditions = (status?.conditions ?? []) as { type: string; status: string }[];
  const ready = conditions.find(({ type }) => type === 'Ready');
  const text = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return spec?.unschedulable ? `${text},SchedulingDisabled` : text;
}

function nodeRoles({ metadata }: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const labels = Object.keys(metadata.labels ?? {}).filter((label) => label.startsWith(prefix));
  return labels.map((label) => label.slice(prefix.length)).join(',') || '<none>';
}

function endpointAddresses(object: KubeObject): string {
  const endpoints = (object.endpoints ?? []) as { addresses: string[] }[];
  const addresses = endpoints.flatMap((endpoint) => endpoint.addresses);
  const more = addresses.length > 3 ? ` + ${addresses.length - 3} more...` : '';
  return addresses.slice(0, 3).join(',') + more || '<unset>';
}

const size = (field: string): Column => ({
  name: 'Data',
  type: 'integer',
  cell: (object) => Object.keys(object[field] ?? {}).length,
});

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  pods: podColumns,
  deployments: [
    readyOf(({ spec }) => spec.replicas),
    count('Up-to-date', ({ status }) => status?.updatedReplicas),
    count('Available', ({ status }) => status?.availableReplicas),
    AGE,
    ...WIDE_TEMPLATE,
  ],
  replicasets: [
    count('Desired', ({ spec }) => spec.replicas),
    count('Current', ({ status }) => status?.replicas),
    count('Ready', ({ status }) => status?.readyReplicas),
    AGE,
    ...WIDE_TEMPLATE,
  ],
  statefulsets: [readyOf(({ spec }) => spec.replicas), AGE, ...WIDE_TEMPLATE],
  services: [
    { name: 'Type', cell: ({ spec }) => spec.type },
    { name: 'Cluster-IP', cell: ({ spec }) => spec.clusterIP ?? '<none>' },
    { name: 'External-IP', cell: ({ spec }) => spec.externalName ?? '<none>' },
    { name: 'Port(s)', cell: servicePorts },
    AGE,
  ],
  nodes: [
    { name: 'Status', cell: nodeStatus },
    { name: 'Roles', cell: nodeRoles },
    AGE,
    { name: 'Version', cell: ({ status }) => status?.nodeInfo?.kubeletVersion ?? '' },
  ],
  namespaces: [{ name: 'Status', cell: ({ status }) => status?.phase ?? '' }, AGE],
  leases: [{ name: 'Holder', cell: ({ spec }) => spec?.holderIdentity ?? '' }, AGE],
  endpointslices: [
    { name: 'AddressType', cell: (object) => object.addressType },
    {
      name: 'Ports',
      cell: (object) => (object.ports ?? []).map(({ port }: { port: number }) => port).join(',') || '<unset>',
    },
    { name: 'Endpoints', cell: endpointAddresses },
    AGE,
  ],
  secrets: [{ name: 'Type', cell: (object) => object.type }, size('data'), AGE],
  configmaps: [size('data'), AGE],
  events: [
    {
      name: 'Last Seen',
      cell: (event, now) =>
        age(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp, now),
    },
    { name: 'Type', cell: (event) => event.type ?? '' },
    { name: 'Reason', cell: (event) => event.reason ?? '' },
    {
      name: 'Object',
      cell: ({ involvedObject }) => `${String(involvedObject?.kind).toLowerCase()}/${involvedObject?.name}`,
    },
    { name: 'Message', cell: (event) => String(event.message ?? '').trim() },
  ],
  poddisruptionbudgets: [
    { name: 'Min Available', cell: ({ spec }) => spec.minAvailable ?? 'N/A' },
    { name: 'Max Unavailable', cell: ({ spec }) => spec.maxUnavailable ?? 'N/A' },
    AGE,
  ],
  horizontalpodautoscalers: [
    { name: 'Reference', cell: ({ spec }) => `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}` },
    count('MinPods', ({ spec }) => spec.minReplicas),
    count('MaxPods', ({ spec }) => spec.maxReplicas),
    AGE,
  ],
  mutatingwebhookconfigurations: [count('Webhooks', (object) => object.webhooks?.length), AGE],
};

/** Events have no name worth a column. */
function columnsOf(resource: string): readonly Column[] {
  const columns = COLUMNS[resource] ?? [AGE];
  return resource === 'events' ? columns : [NAME, ...columns];
}

export interface TableOptions {
  readonly nowMs: number;
  /** What each row carries of its object; kubectl asks for all of it to sort or print by JSONPath. */
  readonly includeObject: 'None' | 'Metadata' | 'Object';
}

function rowObject(object: KubeObject, include: TableOptions['includeObject']): unknown {
  if (include === 'None') return undefined;
  if (include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

export function tableOf(
  kind: Kind,
  objects: readonly KubeObject[],
  metadata: object,
  { nowMs, includeObject }: TableOptions,
): object {
  const columns = columnsOf(kind.resource);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: columns.map(({ name, type = 'string', priority = 0 }) => ({
      name,
      type,
      // kubectl puts the column formatted as a name first and prefixes it with the kind where it lists several.
      format: name === 'Name' ? 'name' : '',
      description: `${name} of ${qualified(kind)}`,
      priority,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object, nowMs)),
      object: rowObject(object, includeObject),
    })),
  };
}
