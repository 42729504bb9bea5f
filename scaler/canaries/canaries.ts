/**
 * Compares each canary with the function that it may replace, over the calls of all proxies, and has the bad ones
 * rolled back. It owns what was counted since a canary was last judged. All of that can be lost: a new leader
 * begins again. What was decided is in the cluster, as an annotation of the canary's workload.
 *
 * Room `scaler/canaries`: Judges canaries by what callers got of them.
 * Comes in: counts of ended calls.
 * Goes out: roll-backs, and what was counted.
 */
import { CallTally, type CallCounts } from '../../common/call/call-counts.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { CanarySpec } from '../../common/function/spec.ts';
import type { Workload } from '../world/kube-objects.ts';
import { numbersOf, whyRollBack, type PartNumbers } from './judge.ts';

/**
 * A proxy tells of each function once a second, of a canary before or after the function itself. In less time
 * the function's calls of the same moment may be missing.
 */
const LEAST_WINDOW_MS = 2_000;

/** Shown, and counted again from zero after so many calls, where the canary itself says no number. */
const CALLS = 100;

export interface CanariesOptions {
  readonly isLeader: () => boolean;
  /** Takes the canary's calls away. */
  readonly rollBack: (workload: Workload, why: string) => Promise<void>;
  readonly log: Log;
}

interface Counted {
  /** undefined: no call of the canary yet. */
  sinceMs: number | undefined;
  readonly canary: CallTally;
  readonly stable: CallTally;
}

interface CanaryRecord {
  /** The key of the function of which it is a canary. */
  readonly stable: string;
  readonly revision: string;
  counted: Counted;
  /** Those by which it was judged last. */
  before: Counted | undefined;
  /** It is to be rolled back, which is tried until it is seen. */
  why: string | undefined;
  isWriting: boolean;
}

export interface CanaryView {
  readonly of: string;
  readonly weight: number;
  readonly canary: PartNumbers;
  readonly stable: PartNumbers;
}

export class Canaries {
  readonly #options: CanariesOptions;
  readonly #records = new Map<string, CanaryRecord>();
  readonly #ofStable = new Map<string, Set<string>>();

  constructor(options: CanariesOptions) {
    this.#options = options;
  }

  /** It is another version, or a canary now, or none any more. */
  onWorkload(workload: Workload): void {
    const spec = workload.fn?.spec.canary;
    if (spec) this.#recordOf(workload, spec);
    else this.forget(workload.key);
  }

  /** A proxy said how calls of a function ended: of a canary, or of one that has some. */
  hear(workload: Workload, counts: CallCounts, nowMs: number): void {
    for (const key of this.#ofStable.get(workload.key) ?? [])
      this.#records.get(key)?.counted.stable.add(counts);
    const spec = workload.fn?.spec.canary;
    if (!spec) return;
    const record = this.#recordOf(workload, spec);
    // While it is rolled out its calls are those of two versions.
    if (workload.isRollingOut || workload.canaryEnd) return void (record.counted = counted());
    record.counted.sinceMs ??= nowMs;
    record.counted.canary.add(counts);
    this.#judge(workload, spec, record, nowMs);
  }

  /** What was counted for its last judgement and since; undefined: it is no canary. */
  viewOf({ key, fn }: Workload): CanaryView | undefined {
    const spec = fn?.spec.canary;
    if (!spec) return undefined;
    const record = this.#records.get(key);
    const sum = counted();
    for (const each of record ? [record.before, record.counted] : []) {
      if (each) sum.canary.add(each.canary.counts);
      if (each) sum.stable.add(each.stable.counts);
    }
    const parts = { canary: numbersOf(sum.canary), stable: numbersOf(sum.stable) };
    return { of: spec.of, weight: spec.weightPercent, ...parts };
  }

  /** It is no function or no canary any more. */
  forget(key: string): void {
    const record = this.#records.get(key);
    if (!record) return;
    this.#records.delete(key);
    const canaries = this.#ofStable.get(record.stable);
    canaries?.delete(key);
    if (canaries?.size === 0) this.#ofStable.delete(record.stable);
  }

  #recordOf({ key, id, revision }: Workload, { of }: CanarySpec): CanaryRecord {
    const stable = functionKey({ namespace: id.namespace, name: of });
    const known = this.#records.get(key);
    if (known?.stable === stable && known.revision === revision) return known;
    this.forget(key);
    const record: CanaryRecord = {
      stable,
      revision,
      counted: counted(),
      before: undefined,
      why: undefined,
      isWriting: false,
    };
    this.#records.set(key, record);
    this.#ofStable.set(stable, (this.#ofStable.get(stable) ?? new Set()).add(key));
    return record;
  }

  #judge(workload: Workload, { of, rollBack }: CanarySpec, record: CanaryRecord, nowMs: number): void {
    const { isLeader } = this.#options;
    const { canary: those, sinceMs = nowMs } = record.counted;
    if (those.ended >= (rollBack?.calls ?? CALLS) && nowMs - sinceMs >= LEAST_WINDOW_MS) {
      record.before = record.counted;
      record.counted = counted();
      const { canary, stable } = record.before;
      const why = rollBack && whyRollBack(numbersOf(canary), numbersOf(stable), rollBack, of);
      record.why ??= why;
    }
    // One process judges: others have counted other calls together.
    if (!isLeader()) record.why = undefined;
    else if (record.why !== undefined && !record.isWriting) void this.#rollBack(workload, record, record.why);
  }

  async #rollBack(workload: Workload, record: CanaryRecord, why: string): Promise<void> {
    record.isWriting = true;
    try {
      await this.#options.rollBack(workload, why);
      record.why = undefined;
    } catch (error) {
      const { log } = this.#options;
      log.warn({ function: workload.key, error: describeError(error) }, 'rolling back failed; trying again');
    }
    record.isWriting = false;
  }
}

function counted(): Counted {
  return { sinceMs: undefined, canary: new CallTally(), stable: new CallTally() };
}
