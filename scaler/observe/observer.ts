/**
 * The first step of the scaler: everything that watches, reports and wakes bring goes in here, and is written here alone. The world
 * (workloads, pods, autoscalers), one record per function, the last use per namespace, whether NATS and the watches
 * are there. What our own patches have done is heard like all else. Later steps get the readonly view
 * {@link Observed}, so the types keep them from writing.
 *
 * Room `scaler/observe`: What watches and messages brought, with one writer.
 * Comes in: watch events, reports, wakes, what patches did.
 * Goes out: a readonly view.
 */
import type { AnnotationDefaults } from '../../common/function/annotations/index.ts';
import type { WorkloadKind } from '../../common/function/spec.ts';
import type { ActivityMessage, ReadyMessage, WakeMessage } from '../../common/bus/messages.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../../common/kube/client.ts';
import type { CreationFailure } from '../../common/kube/creation-failures.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';
import { podOf, type Workload } from '../world/kube-objects.ts';
import { World, type Autoscaler, type WorldView } from '../world/world.ts';
import { LastUse } from './activity.ts';
import { FunctionRecord, type ObservedFunction } from './function-record.ts';
import { readyPods } from './pods.ts';

/** Everything that was observed, for whoever only reads. */
export interface Observed {
  readonly world: WorldView;
  /** undefined: nothing was heard of it yet. */
  readonly of: (key: string) => ObservedFunction | undefined;
  /** The last use of any function of a namespace. */
  readonly lastUseIn: (namespace: string) => { readonly atMs: number; readonly name: string } | undefined;
  /** undefined: NATS is not connected. */
  readonly natsSinceMs: number | undefined;
  /** The Kubernetes watches are up to date. */
  readonly isSynced: boolean;
  /** They were once. Nothing is decided before; a watch that broke later blocks the way down, never a wake. */
  readonly hasSynced: boolean;
  /** Counts what may change the decision of any function whatsoever; only ever rises. */
  readonly epoch: number;
  /** Reports of pods that no watch has shown. */
  earlyReports(): number;
}

export interface WorkloadChange {
  readonly before: Workload | undefined;
  /** The workload that has the name now; undefined: none. */
  readonly after: Workload | undefined;
}

export class Observer implements Observed {
  readonly #world: World;
  readonly #records = new Map<string, FunctionRecord>();
  readonly #lastUse = new LastUse();
  readonly #now: () => number;
  #natsSinceMs: number | undefined;
  #isSynced = false;
  #hasSynced = false;
  #epoch = 0;
  #lastKey: string | undefined;
  #lastRecord: FunctionRecord | undefined;

  /** @param now milliseconds, the clock of all decisions */
  constructor(now: () => number, defaults?: AnnotationDefaults) {
    this.#now = now;
    this.#world = new World(defaults);
  }

  get world(): WorldView {
    return this.#world;
  }

  get natsSinceMs(): number | undefined {
    return this.#natsSinceMs;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get epoch(): number {
    return this.#epoch + this.#world.specVersion + this.#world.autoscalerVersion;
  }

  // Properties, not methods: they are taken out and called by themselves.
  readonly of = (key: string): ObservedFunction | undefined => this.#find(key);
  readonly lastUseIn = (namespace: string): ReturnType<LastUse['in']> => this.#lastUse.in(namespace);

  earlyReports(): number {
    let sum = 0;
    for (const { activity } of this.#records.values()) sum += activity.earlyReports;
    return sum;
  }

  onNats(isConnected: boolean): void {
    this.#natsSinceMs = isConnected ? this.#now() : undefined;
    this.#epoch += 1;
  }

  onSynced(isSynced: boolean): void {
    this.#isSynced = isSynced;
    this.#hasSynced ||= isSynced;
    this.#epoch += 1;
  }

  onWorkload(kind: WorkloadKind, object: V1Deployment | V1StatefulSet): WorkloadChange {
    const before = this.#world.observe(kind, object);
    const key = functionKey(idOf(object));
    const after = this.#world.workload(key);
    // Another object may have the same name: what is observed of it says nothing of the function.
    const isOwn = after?.kind === kind;
    if (isOwn && after.fn && before?.fn?.spec !== after.fn.spec) this.#record(key).setByOthers = undefined;
    return { before, after };
  }

  onWorkloadGone(kind: WorkloadKind, key: string): void {
    this.#world.deleteWorkload(kind, key);
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#records.delete(key);
    this.#lastKey = undefined;
  }

  /** A count that neither we nor an autoscaler asked for. */
  onCountOfOthers({ key, replicas }: Workload): void {
    this.#record(key).noteCountOfOthers(replicas, this.#now());
  }

  /** @returns the workload that it concerns */
  onCreationFailure(failure: CreationFailure): Workload | undefined {
    return this.#world.noteCreationFailure(failure);
  }

  /**
   * Looks whether pods of the workload can be created.
   * @returns what kept them from it until now, when one was
   */
  noteCreation(workload: Workload): Trouble | undefined {
    const record = this.#record(workload.key);
    const trouble = this.#world.creationTroubleOf(workload);
    const former = record.creationTrouble;
    if (trouble) record.creationTrouble = trouble;
    if (trouble || !former || workload.createdReplicas === 0) return undefined;
    record.creationTrouble = undefined;
    return former;
  }

  onAutoscaler(autoscaler: Autoscaler): void {
    this.#world.setAutoscaler(autoscaler);
  }

  onAutoscalerGone(key: string): void {
    this.#world.deleteAutoscaler(key);
  }

  /** @returns the function whose pod it is */
  onPod(object: V1Pod): Workload | undefined {
    const pod = podOf(object);
    if (!pod) return undefined;
    this.#world.setPod(pod);
    const workload = this.#world.workloadOfOwner(pod.ownerKey);
    if (!workload?.fn) return undefined;
    const record = this.#record(workload.key);
    record.observePod(pod, this.#now());
    record.activity.onPodKnown(pod.name);
    return workload;
  }

  /** @returns the workload whose pod it was */
  onPodGone(object: V1Pod): Workload | undefined {
    const pod = podOf(object);
    if (!pod) return undefined;
    this.#world.deletePod(pod);
    const workload = this.#world.workloadOfOwner(pod.ownerKey);
    if (workload) this.#records.get(workload.key)?.forgetPod(pod.name);
    return workload;
  }

  onWake(workload: Workload, message: WakeMessage, nowMs: number): void {
    this.#record(workload.key).activity.onWake(message, nowMs);
    this.#lastUse.note(workload.id, nowMs);
  }

  /** @returns whether an app has begun or ended to take no calls */
  onActivity(workload: Workload, message: ActivityMessage, nowMs: number): boolean {
    const record = this.#record(workload.key);
    const isKnownPod = this.#world.podsOf(workload).has(message.pod);
    const isTurn = record.activity.onReport(message, nowMs, isKnownPod);
    if (record.activity.lastActiveMs === nowMs) this.#lastUse.note(workload.id, nowMs);
    if (message.source === 'sidecar')
      record.hearStart(message.pod, message.start, this.#isEnding(workload.key, message.pod));
    return isTurn;
  }

  /** @returns whether the pod is in another state than before; undefined for a pod that is not known */
  onReady(id: FunctionId, message: ReadyMessage): boolean | undefined {
    const key = functionKey(id);
    const record = this.#records.get(key);
    if (!record?.pods.has(message.pod)) return undefined;
    return record.hearReady(message, this.#isEnding(key, message.pod), this.#now());
  }

  /** Our patch was carried out, which we know before the watch tells it. */
  onScaled(workload: Workload, made: { readonly replicas: number; readonly resourceVersion: string }): void {
    // A workload that was deleted meanwhile needs no note.
    if (this.#world.workload(workload.key)?.uid === workload.uid)
      this.#record(workload.key).noteScaled(workload.replicas, this.#now());
    this.#world.noteScaled(workload, made.replicas, made.resourceVersion);
  }

  /** What has come true since the last look: before each decision. */
  settle(workload: Workload, nowMs: number): ObservedFunction {
    const record = this.#record(workload.key, nowMs);
    record.settle(workload.replicas, () => readyPods(workload, this), nowMs);
    return record;
  }

  #isEnding(key: string, pod: string): boolean {
    const workload = this.#world.workload(key);
    return workload !== undefined && this.#world.podsOf(workload).get(pod)?.isEnding === true;
  }

  /** Within one decision the same function is asked about eight times: at 10,000 functions each look-up counts. */
  #find(key: string): FunctionRecord | undefined {
    if (key !== this.#lastKey) {
      this.#lastRecord = this.#records.get(key);
      this.#lastKey = this.#lastRecord && key;
    }
    return this.#lastRecord;
  }

  /** Made when it is first needed. */
  #record(key: string, nowMs = this.#now()): FunctionRecord {
    const known = this.#find(key);
    if (known) return known;
    const record = new FunctionRecord(nowMs);
    this.#records.set(key, record);
    // Pods may be listed before the workload that they belong to.
    const workload = this.#world.workload(key);
    if (workload) for (const pod of this.#world.podsOf(workload).values()) record.observePod(pod, nowMs);
    return record;
  }
}
