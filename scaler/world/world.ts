/**
 * The cluster as the scaler last saw it: workloads, the pods that carry the function label, autoscalers of
 * others. An index over watch events, with no I/O, so that a tick over ten thousand functions makes no request
 * and copies no list.
 *
 * Room `scaler/world`: The cluster as the watches last reported it, and the API behind it.
 * Comes in: watch events.
 * Goes out: workloads, pods, the lease, patches.
 */
import type { AnnotationDefaults } from '../../common/function/annotations/index.ts';
import type { WorkloadKind } from '../../common/function/spec.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';
import type { V1Deployment, V1StatefulSet } from '../../common/kube/client.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import { ownerKeyOf, readWorkload } from '../../common/kube/model/workload.ts';
import type { CreationFailure } from '../../common/kube/creation-failures.ts';
import { FailedCreations } from '../../common/kube/model/failed-creations.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { Pod, Workload } from './kube-objects.ts';

/** The HorizontalPodAutoscaler that looks after a workload. */
export interface Autoscaler {
  /** Its own `namespace/name`. */
  readonly key: string;
  /** The workload that it looks after. */
  readonly ownerKey: string;
  readonly minReplicas: number;
}

/** For whoever only reads. The observer alone has the other methods. */
export type WorldView = Readonly<
  Pick<
    World,
    | 'workload'
    | 'workloadOfOwner'
    | 'workloads'
    | 'podsOf'
    | 'autoscalerOf'
    | 'creationTroubleOf'
    | 'specVersion'
    | 'version'
    | 'autoscalerVersion'
  >
>;

const NO_PODS: ReadonlyMap<string, Pod> = new Map();

export class World {
  /** By owner key. */
  readonly #workloads = new Map<string, Workload>();
  /** By `namespace/name`: of two workloads with one name the annotated one, else the Deployment. */
  readonly #byKey = new Map<string, Workload>();
  readonly #pods = new Map<string, Map<string, Pod>>();
  readonly #autoscalers = new Map<string, Autoscaler>();
  readonly #defaults: AnnotationDefaults | undefined;
  /** Which workload each autoscaler looked after when last reported: it may be given another one. */
  readonly #targets = new Map<string, string>();
  readonly #failures = new FailedCreations();
  /** Counts changes of workloads and of their pods. */
  version = 0;
  /** Counts changes of the set of functions, of their specs and of their pods' labels: for what is worked out of these. */
  specVersion = 0;
  /** The same of the autoscalers of others. */
  autoscalerVersion = 0;

  constructor(defaults?: AnnotationDefaults) {
    this.#defaults = defaults;
  }

  workload(key: string): Workload | undefined {
    return this.#byKey.get(key);
  }

  workloadOfOwner(ownerKey: string): Workload | undefined {
    return this.#workloads.get(ownerKey);
  }

  workloads(): IterableIterator<Workload> {
    return this.#byKey.values();
  }

  podsOf(workload: Workload): ReadonlyMap<string, Pod> {
    return this.#pods.get(workload.ownerKey) ?? NO_PODS;
  }

  autoscalerOf(workload: Workload): Autoscaler | undefined {
    return this.#autoscalers.get(workload.ownerKey);
  }

  /** What a watch has brought. @returns the workload as known before */
  observe(kind: WorkloadKind, object: V1Deployment | V1StatefulSet): Workload | undefined {
    const before = this.#workloads.get(ownerKeyOf(kind, functionKey(idOf(object))));
    this.setWorkload(readWorkload(kind, object, before, this.#defaults));
    return before;
  }

  /** An event of an older state than the known one is ignored. */
  setWorkload(workload: Workload): void {
    const { ownerKey } = workload;
    const known = this.#workloads.get(ownerKey);
    if (known && isOlder(workload.resourceVersion, known.resourceVersion) && known.uid === workload.uid)
      return;
    this.#workloads.set(ownerKey, workload);
    this.version++;
    this.#failures.look(workload);
    this.#choose(workload.key);
    const isSame =
      known?.fn?.spec === workload.fn?.spec &&
      known?.dependedOnBy === workload.dependedOnBy &&
      JSON.stringify(known?.podLabels) === JSON.stringify(workload.podLabels);
    if (!known || !isSame) this.specVersion++;
  }

  deleteWorkload(kind: WorkloadKind, key: string): void {
    this.#failures.forget(ownerKeyOf(kind, key));
    this.#workloads.delete(ownerKeyOf(kind, key));
    this.#choose(key);
    this.version++;
    this.specVersion++;
  }

  /** What our own patch has made of it, known before the watch tells it. */
  noteScaled(workload: Workload, replicas: number, resourceVersion: string): void {
    const known = this.#workloads.get(workload.ownerKey);
    // The watch may have been faster: with a deletion, or with newer annotations.
    if (known?.uid !== workload.uid || isOlder(resourceVersion, known.resourceVersion)) return;
    this.setWorkload({ ...known, replicas, resourceVersion, isObserved: false });
  }

  /** @returns the workload if it still lacks pods; else the failure is history */
  noteCreationFailure(failure: CreationFailure): Workload | undefined {
    const workload = this.#workloads.get(ownerKeyOf('StatefulSet', functionKey(failure)));
    return workload && this.#failures.note(failure, workload) ? workload : undefined;
  }

  /** Why pods of the workload cannot be created: in its own words, or in an Event's. */
  creationTroubleOf(workload: Workload): Trouble | undefined {
    return this.#failures.troubleOf(workload);
  }

  setPod(pod: Pod): void {
    this.version++;
    const pods = this.#pods.get(pod.ownerKey);
    if (pods) pods.set(pod.name, pod);
    else this.#pods.set(pod.ownerKey, new Map([[pod.name, pod]]));
  }

  deletePod(pod: Pod): void {
    this.version++;
    const pods = this.#pods.get(pod.ownerKey);
    pods?.delete(pod.name);
    if (pods?.size === 0) this.#pods.delete(pod.ownerKey);
  }

  setAutoscaler(autoscaler: Autoscaler): void {
    const { key, ownerKey } = autoscaler;
    if (this.#targets.get(key) !== ownerKey) this.deleteAutoscaler(key);
    this.#targets.set(key, ownerKey);
    this.#autoscalers.set(ownerKey, autoscaler);
    this.autoscalerVersion++;
  }

  deleteAutoscaler(key: string): void {
    const ownerKey = this.#targets.get(key);
    this.#targets.delete(key);
    if (ownerKey === undefined || this.#autoscalers.get(ownerKey)?.key !== key) return;
    this.#autoscalers.delete(ownerKey);
    this.autoscalerVersion++;
  }

  #choose(key: string): void {
    const deployment = this.#workloads.get(ownerKeyOf('Deployment', key));
    const set = this.#workloads.get(ownerKeyOf('StatefulSet', key));
    const chosen = deployment && set ? (!deployment.fn && set.fn ? set : deployment) : (deployment ?? set);
    if (chosen) this.#byKey.set(key, chosen);
    else this.#byKey.delete(key);
  }
}

/**
 * Our patch's answer can overtake the watch: an event that left before it must not undo what we know. Resource
 * versions are ordered integers in every API server there is; where one is not, nothing is called older.
 */
export function isOlder(a: string, b: string): boolean {
  return /^\d+$/.test(a) && /^\d+$/.test(b) && (a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)) < 0;
}
