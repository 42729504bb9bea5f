/**
 * One Deployment or StatefulSet as Kubernetes reports it, read in one place for every part. Pure; types only.
 */
import { functionKey, type FunctionId } from '../../bus/subjects.ts';
import { ANNOTATION } from '../../function/annotations/index.ts';
import { MAX_VALUE_LENGTH } from '../../function/annotations/bounds.ts';
import { readCanaryEnd, CANARY_END_ANNOTATION, type CanaryEnd } from '../../function/canary-end.ts';
import type { FunctionInfo, WorkloadKind } from '../../function/spec.ts';
import type { V1Deployment, V1StatefulSet } from '../client.ts';
import { findAppPort } from './app-port.ts';
import { findSidecar } from './containers.ts';
import type { AnnotationDefaults } from '../../function/annotations/index.ts';
import { functionOfWorkload } from './function-info.ts';
import { idOf } from './identity.ts';
import { obstacleToSidecar } from './no-sidecar.ts';
import { troubleOfWorkload, type Trouble } from './trouble.ts';

export interface WorkloadModel {
  readonly id: FunctionId;
  /** `namespace/name`. */
  readonly key: string;
  readonly kind: WorkloadKind;
  /** `kind/namespace/name`: a Deployment and a StatefulSet may share a name. */
  readonly ownerKey: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Pods that it is to have. */
  readonly replicas: number;
  readonly readyReplicas: number;
  /** Pods that exist, ready or not, as its controller counts them. */
  readonly createdReplicas: number;
  /** Its controller has seen the latest change of it, and is not in the middle of another. */
  readonly isObserved: boolean;
  /** Why its pods cannot be created, as its own conditions say. */
  readonly trouble: Trouble | undefined;
  /** Undefined for a workload that has not opted in. */
  readonly fn: FunctionInfo | undefined;
  /** The labels of its pods, by which Services select them. Read only for `slimfaas.dev/services: wake`. */
  readonly podLabels?: Readonly<Record<string, string>> | undefined;
  /** slimfaas.dev/depended-on-by, of the workload or of its pod template; empty: nobody of another namespace. */
  readonly dependedOnBy: string;
  /** The number of its template, as Kubernetes counts; empty: not known yet. */
  readonly revision: string;
  /** Pods of an older template are there too. */
  readonly isRollingOut: boolean;
  /** How long a pod that ends may go on answering. */
  readonly terminationGraceMs: number;
  /** This version of it was rolled back as a canary. */
  readonly canaryEnd: CanaryEnd | undefined;
  /** All of the manifest that `fn` was read from. */
  readonly written: string;
}

type WorkloadObject = V1Deployment | V1StatefulSet;

/**
 * @param previous the same workload as last read. Its annotations are read again only if what they are read with has
 *   changed. Code that compares specs must not take a new count for a new spec.
 */
export function readWorkload(
  kind: WorkloadKind,
  object: WorkloadObject,
  previous?: Pick<WorkloadModel, 'written' | 'fn'>,
  defaults?: AnnotationDefaults,
): WorkloadModel {
  const { metadata: meta = {}, spec, status } = object;
  const id = idOf(object);
  const key = functionKey(id);
  const written = writtenIn(object);
  const fn = previous?.written === written ? previous.fn : functionOfWorkload(kind, object, defaults);
  return {
    id,
    key,
    kind,
    ownerKey: ownerKeyOf(kind, key),
    uid: meta.uid ?? '',
    resourceVersion: meta.resourceVersion ?? '',
    replicas: spec?.replicas ?? 1, // what Kubernetes fills in
    readyReplicas: status?.readyReplicas ?? 0,
    createdReplicas: status?.replicas ?? 0,
    isObserved: isObserved(object),
    trouble: troubleOfWorkload(object),
    fn,
    podLabels: fn?.spec.services === 'wake' ? { ...spec?.template?.metadata?.labels } : undefined,
    dependedOnBy: dependedOnBy(object),
    ...versionOf(object),
    terminationGraceMs: 1_000 * (spec?.template?.spec?.terminationGracePeriodSeconds ?? 30), // what Kubernetes fills in
    written,
  };
}

function versionOf({ metadata, status }: WorkloadObject) {
  const ofSet = status && 'updateRevision' in status ? status.updateRevision : undefined;
  const revision = ofSet ?? metadata?.annotations?.['deployment.kubernetes.io/revision'] ?? '';
  const { replicas = 0, updatedReplicas = 0 } = status ?? {};
  const canaryEnd = readCanaryEnd(metadata?.annotations?.[CANARY_END_ANNOTATION], revision);
  return { revision, isRollingOut: updatedReplicas < replicas, canaryEnd };
}

export function ownerKeyOf(kind: WorkloadKind, key: string): string {
  return `${kind}/${key}`;
}

/** All pods run its template, and as many as wanted can be used. At zero that is so at once. */
export function isRolledOut({ metadata, spec, status }: WorkloadObject): boolean {
  const wanted = spec?.replicas ?? 1;
  const isKnown = (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status ?? {};
  return isKnown && replicas === wanted && updatedReplicas === wanted && availableReplicas >= wanted;
}

/** Fewer pods exist than it is to have. */
export function lacksPods({ createdReplicas, replicas }: WorkloadModel): boolean {
  return createdReplicas < replicas;
}

/** A workload that is no function may have an owner that writes its template: so its own annotation counts too. */
function dependedOnBy({ metadata, spec }: WorkloadObject): string {
  const key = ANNOTATION.dependedOnBy;
  const texts = [metadata?.annotations?.[key], spec?.template?.metadata?.annotations?.[key]];
  return texts.filter((text) => text !== undefined && text.length <= MAX_VALUE_LENGTH).join(',');
}

/** Everything that {@link functionOfWorkload} looks at, except the name. */
function writtenIn({ metadata, spec }: WorkloadObject): string {
  const { template } = spec ?? {};
  const pod = template?.spec;
  return JSON.stringify([
    metadata?.uid,
    template?.metadata?.annotations ?? {},
    findAppPort(template ?? {})?.port,
    findSidecar(pod) !== undefined,
    obstacleToSidecar(pod),
  ]);
}

/** A paused Deployment's rollout is up to whoever paused it. */
function isObserved({ metadata, spec, status }: WorkloadObject): boolean {
  const isPaused = spec !== undefined && 'paused' in spec && spec.paused === true;
  return !isPaused && (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);
}
