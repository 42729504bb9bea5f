/**
 * Creating and updating: defaults, admission, validation, quota and the rules about versions, in the order in
 * which Kubernetes has them. Everybody goes through here, clients from outside and the rooms of this
 * process alike.
 *
 * Invariant: nothing is awaited between the last look at the stored object and its replacement.
 */
import { randomUUID, randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { AdmissionChain, AdmissionRequest } from '../admission/admission.ts';
import { applyDefaults, initialStatus } from './defaults.ts';
import { alreadyExists, badRequest, conflict, forbidden, notFound } from './api-errors.ts';
import { apiVersionOf, kindOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { checkPodSecurity } from '../admission/pod-security.ts';
import { checkQuota } from '../admission/quota.ts';
import type { Store } from './store.ts';
import type { KubeObject, ObjectMeta } from './types.ts';
import { validate } from '../validation/validation.ts';
import type { ApiUser, ApiTarget, Change } from './request.ts';
import { timestamp } from './defaults.ts';

const MAX_EVENTS = 5_000;

/** No vowels and no digits that look like letters, so that no words come out. */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

function randomSuffix(): string {
  return Array.from({ length: 5 }, () => SUFFIX_LETTERS[randomInt(SUFFIX_LETTERS.length)]).join('');
}

export class Registry {
  readonly store: Store;
  readonly #admission: AdmissionChain;

  constructor(store: Store, admission: AdmissionChain) {
    this.store = store;
    this.#admission = admission;
  }

  /**
   * The order is Kubernetes': defaults and mutating webhooks see a generated name's prefix only, validation and the
   * validating webhooks see the whole object. Quota is asked last, because it counts a pod that comes to be.
   */
  async create(kind: Kind, input: unknown, caller: ApiUser): Promise<KubeObject> {
    const draft = newObject(kind, input as KubeObject);
    this.#checkNamespace(kind, draft);
    const object = await this.#admit(kind, { operation: 'CREATE', object: draft, caller });
    const { metadata } = object;
    if (!metadata.name && metadata.generateName) metadata.name = metadata.generateName + randomSuffix();
    validate(kind, object, undefined);
    await this.#admission.validate(admissionRequest(kind, { operation: 'CREATE', object, caller }));

    this.#checkReferences(kind, object);
    if (this.store.get(kind.resource, metadata.namespace, metadata.name)) {
      throw alreadyExists(kind, metadata.name);
    }
    if (caller.isDryRun) return object;
    if (kind.resource === 'events') this.#forgetOldEvents();
    return this.store.put(kind.resource, object);
  }

  /** A real cluster forgets events after an hour; this one keeps the newest, so that memory is bounded. */
  #forgetOldEvents(): void {
    if (this.store.count('events') < MAX_EVENTS) return;
    const oldest = this.store.list('events').toSorted((a, b) => versionOf(a) - versionOf(b));
    for (const { metadata } of oldest.slice(0, MAX_EVENTS / 10)) {
      this.store.remove('events', metadata.namespace, metadata.name);
    }
  }

  /**
   * Tries again when somebody else writes in the middle; a proposal that carries the old resourceVersion by
   * itself is then a conflict.
   */
  async update(target: ApiTarget, change: Change, caller: ApiUser): Promise<KubeObject> {
    const { kind, namespace, name } = target;
    for (;;) {
      const current = this.store.get(kind.resource, namespace, name);
      if (current === undefined) throw notFound(kind, name);
      const proposed = change(structuredClone(current));
      if (proposed === false) return current;
      checkPreconditions(kind, current, proposed);
      const next = await this.#next(target, { current, proposed, caller });
      if (this.store.get(kind.resource, namespace, name) !== current) continue;
      return caller.isDryRun ? next : this.#commit(kind, current, next);
    }
  }

  /** The proposal, merged with what it may not touch, admitted and validated. */
  async #next(target: ApiTarget, step: { current: KubeObject; proposed: KubeObject; caller: ApiUser }) {
    const { kind, subresource } = target;
    const { current, proposed, caller } = step;
    const merged =
      subresource === 'status' ? withStatus(current, proposed) : withSpec(kind, current, proposed);
    // Nothing to admit: a kubelet repeating a status must not wake webhooks.
    if (isDeepStrictEqual(merged, current)) return current;
    const step2 = { operation: 'UPDATE', object: merged, oldObject: current, subresource, caller } as const;
    const admitted = await this.#admit(kind, step2);
    if (subresource === undefined) validate(kind, admitted, current);
    await this.#admission.validate(admissionRequest(kind, { ...step2, object: admitted }));
    return admitted;
  }

  /** A write that changes nothing makes no new version, and no event. */
  #commit(kind: Kind, current: KubeObject, next: KubeObject): KubeObject {
    if (isDeepStrictEqual(next, current)) return current;
    if (kind.hasGeneration && !isDeepStrictEqual(content(next), content(current))) {
      next.metadata.generation = (current.metadata.generation ?? 1) + 1;
    }
    const { namespace, name, deletionTimestamp, deletionGracePeriodSeconds, finalizers } = next.metadata;
    // The last finalizer of an object whose grace is over: the deletion that waited for it happens now.
    const isFinal = deletionTimestamp !== undefined && !finalizers?.length && !deletionGracePeriodSeconds;
    const stored = this.store.put(kind.resource, next);
    return isFinal ? (this.store.remove(kind.resource, namespace, name) ?? stored) : stored;
  }

  /** Webhooks never see the caller's copy, nor callers the webhooks'. */
  async #admit(kind: Kind, step: AdmissionStep): Promise<KubeObject> {
    const object = structuredClone(step.object);
    if (step.subresource === undefined) applyDefaults(kind.resource, object);
    const mutated = await this.#admission.mutate(admissionRequest(kind, { ...step, object }));
    if (mutated === object) return object;
    const draft = structuredClone(mutated);
    if (step.subresource === undefined) applyDefaults(kind.resource, draft);
    return draft;
  }

  #checkNamespace(kind: Kind, { metadata }: KubeObject): void {
    if (!kind.isNamespaced || !metadata.namespace) return;
    const namespace = this.store.get('namespaces', undefined, metadata.namespace);
    if (namespace === undefined) throw notFound(kindOf('namespaces'), metadata.namespace);
    if (namespace.metadata.deletionTimestamp === undefined) return;
    const why = `unable to create new content in namespace ${metadata.namespace} because it is being terminated`;
    throw forbidden(kind, metadata.name ?? '', why);
  }

  /** What admission plugins of a real cluster hold pods to. */
  #checkReferences(kind: Kind, object: KubeObject): void {
    if (kind.resource !== 'pods') return;
    const { namespace, name } = object.metadata;
    const account = object.spec.serviceAccountName as string;
    // The namespace's controller makes `default` a moment after the namespace; nobody should trip over that.
    if (account !== 'default' && !this.store.get('serviceaccounts', namespace, account)) {
      const why = `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`;
      throw forbidden(kind, name, why);
    }
    checkPodSecurity(this.store, kind, object);
    checkQuota(this.store, kind, object);
  }
}

interface AdmissionStep {
  readonly operation: 'CREATE' | 'UPDATE';
  readonly object: KubeObject;
  readonly oldObject?: KubeObject;
  readonly subresource?: 'status' | undefined;
  readonly caller: ApiUser;
}

function admissionRequest(kind: Kind, { caller, ...step }: AdmissionStep): AdmissionRequest {
  return { kind, ...step, ...caller };
}

function versionOf({ metadata }: KubeObject): number {
  return Number(metadata.resourceVersion);
}

/** Everything but metadata and status: what a generation counts. */
function content(object: KubeObject): object {
  return { ...object, metadata: undefined, status: undefined };
}

/** What a client says of itself is kept; what only the server can know is written over. */
function newObject(kind: Kind, input: KubeObject): KubeObject {
  if (input.metadata?.resourceVersion) {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  const object = structuredClone(input);
  const metadata: ObjectMeta = {
    ...object.metadata,
    uid: randomUUID(),
    creationTimestamp: timestamp(),
    ...(kind.hasGeneration ? { generation: 1 } : {}),
  };
  for (const field of ['managedFields', 'selfLink', 'deletionTimestamp', 'deletionGracePeriodSeconds']) {
    delete (metadata as unknown as Record<string, unknown>)[field];
  }
  if (!kind.isNamespaced) delete metadata.namespace;
  const status = kind.hasStatus ? { status: initialStatus(kind.resource, object) } : {};
  return { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata, ...status };
}

/**
 * An absent uid or version asks for no check. The name comes from the URL; a different one in the body is a
 * mistake and not a rename.
 */
function checkPreconditions(kind: Kind, current: KubeObject, { metadata }: KubeObject): void {
  const { name, uid, resourceVersion } = current.metadata;
  if (metadata?.name && metadata.name !== name) {
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  }
  if (metadata?.uid && metadata.uid !== uid) {
    const why = `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${uid}`;
    throw conflict(kind, name, why);
  }
  if (metadata?.resourceVersion && metadata.resourceVersion !== resourceVersion) throw conflict(kind, name);
}

/** Annotations may be written too. Labels are dropped: stricter than Kubernetes, which keeps some. */
function withStatus(current: KubeObject, proposed: KubeObject): KubeObject {
  const { annotations } = proposed.metadata;
  const metadata = annotations ? { ...current.metadata, annotations } : current.metadata;
  return { ...current, metadata, status: proposed.status ?? {} };
}

/** The proposal with what it may not touch put back. */
function withSpec(kind: Kind, current: KubeObject, proposed: KubeObject): KubeObject {
  const { apiVersion, kind: kindName, metadata: old, status } = current;
  const metadata: ObjectMeta = {
    ...proposed.metadata,
    name: old.name,
    uid: old.uid,
    resourceVersion: old.resourceVersion,
    creationTimestamp: old.creationTimestamp,
  };
  delete (metadata as { managedFields?: unknown }).managedFields;
  restore(metadata, old, [
    'namespace',
    'generation',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generateName',
  ]);
  const next: KubeObject = { ...proposed, apiVersion, kind: kindName, metadata };
  if (!kind.hasStatus) return next;
  if (status === undefined) delete next.status;
  else next.status = status;
  return next;
}

function restore(metadata: ObjectMeta, old: ObjectMeta, fields: readonly (keyof ObjectMeta)[]): void {
  for (const field of fields) {
    if (old[field] === undefined) delete metadata[field];
    else Object.assign(metadata, { [field]: old[field] });
  }
}
