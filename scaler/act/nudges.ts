/**
 * When a controller may be asked to try again at once. After a pod could not be created (a webhook away, a quota used
 * up), Kubernetes tries again after a delay that doubles up to 1,000 s. Callers wait for it long after the cure. A
 * change of the count is acted upon at once, so the count goes to 0, and the callers that wait bring it back: a nudge.
 *
 * It must not become a storm. While a cause lasts, one function that has it is tried, with a delay that grows to 4 s.
 * As soon as a pod of the same cause was created, the cause is gone and each of the others is nudged once. All
 * together go through one bucket. What a nudge may be done to is `decide/nudge.ts`'s to say. No I/O; the clock is an
 * argument.
 */
import type { Trouble } from '../../common/kube/model/trouble.ts';
import type { NudgeTimes } from '../facts/facts.ts';
import type { Workload } from '../world/kube-objects.ts';

/** 5 s after the cure callers are served: at most 4 s to the next try, the rest for the pod. */
const RETRY_MIN_MS = 2_000;
const RETRY_MAX_MS = 4_000;
/** A cause that nobody has met for so long begins again. */
const FORGET_MS = 600_000;
const MAX_CAUSES = 1_000;

/** For the whole cluster: each is two writes of ours, and one pod that the API server refuses or makes. */
const MAX_NUDGES_AT_ONCE = 5;
const NUDGES_PER_SECOND = 2;

interface Cause {
  nextAtMs: number;
  delayMs: number;
  /** When a pod was created that had this cause before. */
  goneAtMs: number;
  usedAtMs: number;
  /** Functions that were nudged because it is gone, and when. */
  readonly nudged: Map<string, number>;
}

export class Nudges implements NudgeTimes {
  readonly #causes = new Map<string, Cause>();
  /** By function. */
  readonly #nudgedAtMs = new Map<string, number>();
  #tokens = MAX_NUDGES_AT_ONCE;
  #filledAtMs = 0;

  /** The pods of this function meet this trouble: to be called before {@link isDue}. */
  noteTrouble(workload: Workload, trouble: Trouble, nowMs: number): void {
    this.#fill(nowMs);
    if (this.#tokens >= 1) this.#cause(workload, trouble, nowMs);
  }

  isDue(workload: Workload, trouble: Trouble, nowMs: number): boolean {
    const cause = this.#causes.get(causeOf(workload, trouble));
    if (this.#tokens < 1 || !cause) return false;
    return this.#isFirstSinceCure(cause, workload.key) || nowMs >= cause.nextAtMs;
  }

  nudgedAtMs(key: string): number | undefined {
    return this.#nudgedAtMs.get(key);
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#nudgedAtMs.delete(key);
  }

  noteNudge(workload: Workload, trouble: Trouble, nowMs: number): void {
    const cause = this.#cause(workload, trouble, nowMs);
    this.#tokens -= 1;
    this.#nudgedAtMs.set(workload.key, nowMs);
    if (this.#isFirstSinceCure(cause, workload.key)) {
      cause.nudged.set(workload.key, nowMs);
      return;
    }
    cause.nextAtMs = nowMs + cause.delayMs;
    cause.delayMs = Math.min(RETRY_MAX_MS, cause.delayMs * 1.5);
  }

  /** A pod of the workload was created: whatever kept it from being so is gone, for all that it kept. */
  onCreated(workload: Workload, trouble: Trouble, nowMs: number): void {
    const cause = this.#cause(workload, trouble, nowMs);
    cause.goneAtMs = nowMs;
    cause.delayMs = RETRY_MIN_MS;
    cause.nudged.clear();
    cause.nudged.set(workload.key, nowMs);
  }

  #isFirstSinceCure({ goneAtMs, nudged }: Cause, key: string): boolean {
    return goneAtMs > 0 && !nudged.has(key);
  }

  #cause(workload: Workload, trouble: Trouble, nowMs: number): Cause {
    const name = causeOf(workload, trouble);
    const known = this.#causes.get(name);
    if (known && nowMs - known.usedAtMs < FORGET_MS) {
      known.usedAtMs = nowMs;
      return known;
    }
    const cause: Cause = {
      // The first try is Kubernetes' own, and its first delays are short.
      nextAtMs: nowMs + RETRY_MIN_MS,
      delayMs: RETRY_MIN_MS,
      goneAtMs: 0,
      usedAtMs: nowMs,
      nudged: new Map(),
    };
    this.#causes.delete(name);
    this.#causes.set(name, cause);
    const [oldest] = this.#causes.keys();
    if (this.#causes.size > MAX_CAUSES && oldest !== undefined) this.#causes.delete(oldest);
    return cause;
  }

  #fill(nowMs: number): void {
    const passed = Math.max(0, nowMs - this.#filledAtMs);
    this.#tokens = Math.min(MAX_NUDGES_AT_ONCE, this.#tokens + (passed / 1_000) * NUDGES_PER_SECOND);
    this.#filledAtMs = nowMs;
  }
}

/** A webhook is the cluster's, and has a name; all else that refuses pods does so by namespace. */
function causeOf({ id }: Workload, { kind, message }: Trouble): string {
  const webhook = /failed calling webhook "([^"]{1,253})"/.exec(message)?.[1];
  return webhook === undefined ? `${kind} ${id.namespace}` : `webhook ${webhook}`;
}
