/**
 * Everything the scaler says to the Kubernetes API (what it hears is in `kube-watch.ts`). The one file of this
 * part that loads the client library.
 *
 * Down, a replica count is written as a merge patch on `/scale` that carries the resourceVersion it was decided on.
 * If anything has changed since, the API refuses. So a scaler that was frozen after its decision cannot undo a newer
 * one, nor can one of two that both believe they lead. Most conflicts are harmless, though: the status of a
 * Deployment changes with each pod. So after a 409 the count is read again. The patch is sent again only if the count
 * is still the one decided on and `mayGoOn` still allows it.
 *
 * Up, it is a JSON patch that tests the count itself, so a status that has changed meanwhile is no conflict. Such a
 * conflict cost a caller two requests more. Raising the very count that was decided on undoes nobody's work.
 */
import {
  AutoscalingV2Api,
  RbacAuthorizationV1Api,
  setHeaderOptions,
  V1MicroTime,
  type ConfigurationOptions,
  type CoreV1Event,
  type V1Lease,
  type V1Scale,
} from '@kubernetes/client-node';
import type { KubeClients } from '../../common/kube/client.ts';
import { within } from '../../common/kube/within.ts';
import type { Workload } from './kube-objects.ts';
import { isConflict, type LeaseRecord, type LeaseStore } from './lease.ts';

/** The shared clients, and those that only the scaler needs. */
export type ScalerClients = KubeClients & {
  readonly autoscaling: AutoscalingV2Api;
  readonly rbac: RbacAuthorizationV1Api;
};

export function scalerClients(clients: KubeClients): ScalerClients {
  const { config } = clients;
  return {
    ...clients,
    autoscaling: config.makeApiClient(AutoscalingV2Api),
    rbac: config.makeApiClient(RbacAuthorizationV1Api),
  };
}

export interface ScaleRequest {
  readonly workload: Workload;
  readonly to: number;
  /** Asked before each try: still the leader, or still right to help. */
  readonly mayGoOn: () => boolean;
}

export type ScaleOutcome =
  | { readonly kind: 'done'; readonly replicas: number; readonly resourceVersion: string }
  /** Somebody else changed the count, or we may not any more; decide again on what is there now. */
  | { readonly kind: 'overtaken' };

export interface KubeEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Effects on the cluster. */
export interface KubeWriter {
  scale(request: ScaleRequest): Promise<ScaleOutcome>;
  /**
   * Writes annotations of the workload itself, by its status: that needs no right to change what its pods run.
   * @throws for another workload of that name
   */
  annotate(workload: Workload, annotations: Readonly<Record<string, string>>): Promise<void>;
  /** A Kubernetes Event on the workload; `count` and times are one each: aggregation is the caller's. */
  emit(workload: Workload, event: KubeEvent): Promise<void>;
}

const MAX_TRIES = 5;
/** A connection into nothing would hold a function's patch for minutes: the library's own limit is 300 s. */
export const REQUEST_TIMEOUT_MS = 5_000;

/** Conflicts and `managedFields` name the writer. */
export const FIELD_MANAGER = 'slimfaas-scaler';

function outcomeOf({ spec, metadata }: V1Scale): ScaleOutcome {
  return { kind: 'done', replicas: spec?.replicas ?? 0, resourceVersion: metadata?.resourceVersion ?? '' };
}

/** The API writes a count of 0 as none. */
function raising({ uid, replicas }: Workload, to: number): object[] {
  const decidedOn =
    replicas === 0
      ? { op: 'test', path: '/spec', value: {} }
      : { op: 'test', path: '/spec/replicas', value: replicas };
  return [
    { op: 'test', path: '/metadata/uid', value: uid },
    decidedOn,
    { op: 'add', path: '/spec/replicas', value: to },
  ];
}

/** What a JSON patch tests does not hold. */
function isPatchRefused(error: unknown): boolean {
  return (error as { code?: unknown }).code === 422;
}

export interface WriterOptions {
  readonly pod: string;
  readonly timeoutMs?: number;
}

export function createKubeWriter(
  clients: KubeClients,
  { pod, timeoutMs = REQUEST_TIMEOUT_MS }: WriterOptions,
): KubeWriter {
  const inTime = within(timeoutMs);
  const { read, patch, raise } = scaleRequests(clients, inTime);
  return {
    async scale({ workload, to, mayGoOn }) {
      const raised = to > workload.replicas && mayGoOn() ? await raise(workload, to) : undefined;
      if (raised) return outcomeOf(raised);
      let { resourceVersion } = workload;
      for (let tries = 0; tries < MAX_TRIES && mayGoOn(); tries++) {
        try {
          const body = { metadata: { resourceVersion }, spec: { replicas: to } };
          return outcomeOf(await patch(workload, body));
        } catch (error) {
          if (!isConflict(error)) throw error;
        }
        const now = await read(workload);
        const isSame = now.metadata?.uid === undefined || now.metadata.uid === workload.uid;
        if (!isSame || (now.spec?.replicas ?? 0) !== workload.replicas) return { kind: 'overtaken' };
        resourceVersion = now.metadata?.resourceVersion ?? '';
      }
      return { kind: 'overtaken' };
    },
    async annotate({ kind, id: { namespace, name }, uid }, annotations) {
      const body = { metadata: { uid, annotations } };
      const request = { name, namespace, body, fieldManager: FIELD_MANAGER };
      const options = setHeaderOptions('Content-Type', 'application/merge-patch+json', inTime);
      if (kind === 'Deployment') await clients.apps.patchNamespacedDeploymentStatus(request, options);
      else await clients.apps.patchNamespacedStatefulSetStatus(request, options);
    },
    async emit(workload, event) {
      const { namespace } = workload.id;
      const request = { namespace, fieldManager: FIELD_MANAGER, body: eventBody(workload, event, pod) };
      await clients.core.createNamespacedEvent(request, inTime);
    },
  };
}

/** The `/scale` of a workload, whatever its kind. */
function scaleRequests({ apps }: KubeClients, inTime: ConfigurationOptions) {
  const as = (type: string) => setHeaderOptions('Content-Type', `application/${type}`, inTime);
  const asMergePatch = as('merge-patch+json');
  const asJsonPatch = as('json-patch+json');
  const read = (w: Workload): Promise<V1Scale> =>
    w.kind === 'Deployment'
      ? apps.readNamespacedDeploymentScale({ name: w.id.name, namespace: w.id.namespace }, inTime)
      : apps.readNamespacedStatefulSetScale({ name: w.id.name, namespace: w.id.namespace }, inTime);
  const patch = (w: Workload, body: object, options = asMergePatch): Promise<V1Scale> => {
    const request = { name: w.id.name, namespace: w.id.namespace, body, fieldManager: FIELD_MANAGER };
    return w.kind === 'Deployment'
      ? apps.patchNamespacedDeploymentScale(request, options)
      : apps.patchNamespacedStatefulSetScale(request, options);
  };
  /** Undefined when what stands there is not what was decided on. */
  const raise = async (w: Workload, to: number): Promise<V1Scale | undefined> => {
    try {
      return await patch(w, raising(w, to), asJsonPatch);
    } catch (error) {
      if (isPatchRefused(error) || isConflict(error)) return undefined;
      throw error;
    }
  };
  return { read, patch, raise };
}

function eventBody(workload: Workload, { type, reason, message }: KubeEvent, pod: string): CoreV1Event {
  const { name, namespace } = workload.id;
  const { kind, uid } = workload;
  const at = new Date();
  return {
    metadata: { generateName: `${name}.`, namespace },
    involvedObject: { apiVersion: 'apps/v1', kind, name, namespace, uid },
    type,
    reason,
    // The API's limit is 1,024 bytes.
    message: message.slice(0, 1_000),
    source: { component: 'slimfaas-scaler', host: pod },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}

/** @param timeoutMs of each request: two must fit into the renew deadline */
export function createLeaseStore(
  { coordination }: KubeClients,
  { namespace, name }: { namespace: string; name: string },
  timeoutMs = REQUEST_TIMEOUT_MS,
): LeaseStore {
  const inTime = within(timeoutMs);
  const bodyOf = (record: LeaseRecord) => leaseOf(record, { namespace, name });
  return {
    async read() {
      try {
        return recordOf(await coordination.readNamespacedLease({ namespace, name }, inTime));
      } catch (error) {
        if ((error as { code?: unknown }).code === 404) return undefined;
        throw error;
      }
    },
    async create(record) {
      return recordOf(
        await coordination.createNamespacedLease(
          { namespace, body: bodyOf(record), fieldManager: FIELD_MANAGER },
          inTime,
        ),
      );
    },
    async update(record) {
      const request = { namespace, name, body: bodyOf(record), fieldManager: FIELD_MANAGER };
      return recordOf(await coordination.replaceNamespacedLease(request, inTime));
    },
  };
}

function recordOf(lease: V1Lease): LeaseRecord {
  const spec = lease.spec ?? {};
  return {
    holder: spec.holderIdentity ?? '',
    durationSeconds: spec.leaseDurationSeconds ?? 0,
    transitions: spec.leaseTransitions ?? 0,
    acquiredAt: new Date(spec.acquireTime ?? 0),
    renewedAt: new Date(spec.renewTime ?? 0),
    resourceVersion: lease.metadata?.resourceVersion ?? '',
  };
}

function leaseOf(record: LeaseRecord, metadata: { namespace: string; name: string }): V1Lease {
  const { resourceVersion } = record;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: resourceVersion === '' ? metadata : { ...metadata, resourceVersion },
    spec: {
      holderIdentity: record.holder,
      leaseDurationSeconds: record.durationSeconds,
      leaseTransitions: record.transitions,
      acquireTime: new V1MicroTime(record.acquiredAt),
      renewTime: new V1MicroTime(record.renewedAt),
    },
  };
}
