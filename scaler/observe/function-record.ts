/**
 * What was observed of one function. The observer alone writes it; all others have the readonly view
 * {@link ObservedFunction}. All of it can be lost: a restarted scaler starts its clocks again and decides from what it
 * sees.
 */
import type { ReadyMessage } from '../../common/bus/messages.ts';
import { compareAnnounced, type AnnouncementOrder } from '../../common/bus/announcement-order.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';
import type { Pod } from '../world/kube-objects.ts';
import { FunctionActivity, type ActivityView } from './activity.ts';

export interface ObservedPod {
  readonly firstObservedMs: number;
  /** It was ready when it was first observed: it has a past that we do not know. */
  readonly isOld: boolean;
  /** Its sidecar announced it; that comes before Kubernetes reports it. */
  readonly announcedReady: boolean;
  /** When its end was first observed, by watch or by its own `draining`. */
  readonly endingSinceMs: number | undefined;
}

interface PodRecord extends ObservedPod {
  readonly uid: string | undefined;
  announcedReady: boolean;
  endingSinceMs: number | undefined;
  /** The latest state that its sidecar reported; see common/bus/announcement-order.ts. */
  lastAnnounced: AnnouncementOrder | undefined;
}

export interface ObservedFunction {
  readonly activity: ActivityView;
  readonly pods: ReadonlyMap<string, ObservedPod>;
  readonly firstObservedMs: number;
  /** What somebody else set, and when we saw it. */
  readonly setByOthers: { readonly replicas: number; readonly atMs: number } | undefined;
  /** It counted as use, also where a rule of ours has overruled it since. 0: never. */
  readonly lastSetByOthersMs: number;
  /** Between a wake of ours and the first ready pod. */
  readonly coldStartSinceMs: number | undefined;
  /** When the last cold start ended. */
  readonly readySinceMs: number;
  /** It was up when it was first observed, and has been since. */
  readonly hasPast: boolean;
}

export class FunctionRecord implements ObservedFunction {
  readonly activity = new FunctionActivity();
  readonly firstObservedMs: number;
  setByOthers: ObservedFunction['setByOthers'];
  lastSetByOthersMs = 0;
  coldStartSinceMs: number | undefined;
  readySinceMs = 0;
  hasPast = true;
  /** Why none of its pods could be created, until one was. */
  creationTrouble: Trouble | undefined;
  readonly #pods = new Map<string, PodRecord>();

  constructor(nowMs: number) {
    this.firstObservedMs = nowMs;
  }

  get pods(): ReadonlyMap<string, ObservedPod> {
    return this.#pods;
  }

  observePod(pod: Pod, nowMs: number): void {
    // A StatefulSet makes a pod of the same name again. While the watch was away, nobody said that the first one went.
    if (this.#pods.has(pod.name) && this.#pods.get(pod.name)?.uid !== pod.uid) this.forgetPod(pod.name);
    const record = this.#pods.get(pod.name) ?? {
      uid: pod.uid,
      firstObservedMs: nowMs,
      isOld: pod.isReady,
      announcedReady: false,
      endingSinceMs: undefined,
      lastAnnounced: undefined,
    };
    if (pod.isEnding) record.endingSinceMs ??= nowMs;
    this.#pods.set(pod.name, record);
  }

  /**
   * Takes what a pod's sidecar says of itself, unless it has said something else since.
   * @param isEnding as the watch says
   * @returns whether it is another state than before
   */
  hearReady(message: ReadyMessage, isEnding: boolean, nowMs: number): boolean {
    const record = this.#pods.get(message.pod);
    const order = record && compareAnnounced(message, record.lastAnnounced);
    if (!record || order === undefined || order < 0) return false;
    record.lastAnnounced = message;
    const isReady = message.state === 'ready';
    const isChanged = record.announcedReady !== isReady;
    record.announcedReady = isReady;
    if (!isReady) record.endingSinceMs ??= nowMs;
    else if (order > 0 && !isEnding) record.endingSinceMs = undefined; // it runs again, or has taken its drain back
    return isChanged;
  }

  /** From a report: a run of the sidecar that began later than the one that said `draining`; that one is over. */
  hearStart(pod: string, start: number | undefined, isEnding: boolean): void {
    const record = this.#pods.get(pod);
    if (!record || start === undefined || start <= (record.lastAnnounced?.start ?? 0)) return;
    record.lastAnnounced = { start, seq: -1 };
    if (!isEnding) record.endingSinceMs = undefined;
  }

  /** What has come true since the last look. */
  settle(replicas: number, readyPods: () => number, nowMs: number): void {
    this.activity.forgetSilent(nowMs);
    if (replicas === 0) {
      this.hasPast = false;
      this.coldStartSinceMs = undefined;
      return;
    }
    this.activity.wakeAtMs = undefined;
    if (this.coldStartSinceMs === undefined || readyPods() === 0) return;
    this.coldStartSinceMs = undefined;
    this.readySinceMs = nowMs;
  }

  /** A count that we did not ask for: it counts as use and stands for one idle timeout. */
  noteCountOfOthers(replicas: number, nowMs: number): void {
    this.setByOthers = { replicas, atMs: nowMs };
    this.lastSetByOthersMs = nowMs;
  }

  /** Our patch is done. @param replicas before it */
  noteScaled(replicas: number, nowMs: number): void {
    this.setByOthers = undefined;
    if (replicas === 0) this.coldStartSinceMs = nowMs;
  }

  forgetPod(name: string): void {
    this.#pods.delete(name);
    this.activity.forgetPod(name);
  }
}
