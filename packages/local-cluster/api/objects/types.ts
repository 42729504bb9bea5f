/**
 * What the local cluster's rooms say to each other. The API server owns the objects. Controllers, scheduler and
 * kubelet are its clients and meet only through {@link ClusterApi}, as in a real control plane. So admission,
 * conflicts and watches are the same for them as for a client from outside.
 */

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  generateName?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: {
    apiVersion: string;
    kind: string;
    name: string;
    uid: string;
    controller?: boolean;
    blockOwnerDeletion?: boolean;
  }[];
  finalizers?: string[];
}

/** Any stored object. Never mutate one that the API handed out: clone it (structuredClone). */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  // oxlint-disable-next-line typescript/no-explicit-any -- objects of every kind; the rooms narrow them
  [field: string]: any;
}

/** Plural, lower case, as in the URL: `pods`, `deployments`, `replicasets`, `endpointslices`, `leases` … */
export type Resource = string;

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface ListFilter {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

/** Thrown by every call of {@link ClusterApi}; `reason` as Kubernetes' Status has it (Conflict, NotFound …). */
export interface StatusError extends Error {
  readonly code: number;
  readonly reason: string;
}

export interface ClusterApi {
  get(resource: Resource, namespace: string | undefined, name: string): KubeObject | undefined;
  list(resource: Resource, filter?: ListFilter): KubeObject[];
  /** Runs admission (over TLS, like any client's). Fills uid, resourceVersion, creationTimestamp, generateName. */
  create(resource: Resource, object: Partial<KubeObject> & { kind: string }): Promise<KubeObject>;
  /** 409 when metadata.resourceVersion is given and stale. `subresource: 'status'` changes only status, else all but. */
  update(resource: Resource, object: KubeObject, subresource?: 'status'): Promise<KubeObject>;
  /**
   * Get, change, update, again on conflict. `change` mutates a private copy; returning false means "nothing
   * to do". Undefined when the object is gone.
   */
  modify(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    change: (draft: KubeObject) => void | false,
    subresource?: 'status',
  ): Promise<KubeObject | undefined>;
  /** Pods get a deletionTimestamp and go when the kubelet calls it again with 0; other kinds go at once. */
  delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options?: { gracePeriodSeconds?: number; uid?: string },
  ): Promise<void>;
  /** A delete of a pod that its PodDisruptionBudget may refuse (429), as `kubectl drain` asks for it. */
  evict(namespace: string, pod: string): Promise<void>;
  /** Existing objects come first as ADDED, synchronously; events are delivered in order. Returns its release. */
  watch(
    resource: Resource,
    listener: (type: WatchEventType, object: KubeObject, previous: KubeObject | undefined) => void,
  ): () => void;
}
