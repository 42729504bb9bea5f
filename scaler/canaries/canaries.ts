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
import { createBackoff, type Backoff } from '../../common/runtime/backoff.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { RollBackSpec } from '../../common/function/canary-end.ts';
import type { CanarySpec } from '../../common/function/spec.ts';
import type { Workload } from '../world/kube-objects.ts';
import { canCompareTimes, numbersOf, whyByErrors, whyByTimes, type PartNumbers } from './judge.ts';

/**
 * A proxy tells of each function once a second, of a canary before or after the function itself. In less time
 * the function's calls of the same moment may be missing.
 */
const LEAST_WINDOW_MS = 2_000;

/** Shown, and counted again from zero after so many calls, where the canary itself says no number. */
const CALLS = 100;

/** After so long without a call of the canary, those of the function are of another time. */
const NO_CALLS_MS = 600_000;

/** Pods of an older version answer for so long after a roll-out, or for their own grace. */
const LEAST_GRACE_MS = 30_000;
/** What comes later are few calls beside the others. */
const MOST_GRACE_MS = 300_000;

/** A roll-back that is refused is tried again after this. */
const RETRY = { minMs: 1_000, maxMs: 60_000 };
const LOG_AGAIN_MS = 600_000;

export interface CanariesOptions {
  readonly isLeader: () => boolean;
  /** Takes the canary's calls away. */
  readonly rollBack: (workload: Workload, why: string) => Promise<void>;
  readonly log: Log;
}

interface Parts {
  readonly canary: CallTally;
  readonly stable: CallTally;
}

interface Counted extends Parts {
  /** undefined: no call of the canary yet. */
  sinceMs: number | undefined;
  /** When the canary had calls last. */
  heardMs: number;
}

interface CanaryRecord {
  /** The key of the function of which it is a canary. */
  readonly stable: string;
  readonly revision: string;
  counted: Counted;
  /** Those by which it was judged last. */
  before: Counted | undefined;
  /** Since durations were compared last, which takes more calls than a window may have. */
  times: Parts;
  /** Pods of two versions are there, as was seen last. */
  isMixed: boolean;
  /** Before it, answers may be those of an older version. */
  countsFromMs: number;
  /** It is to be rolled back, which is tried until it is seen. */
  why: string | undefined;
  isWriting: boolean;
  readonly backoff: Backoff;
  retryAtMs: number;
  loggedAtMs: number;
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
    if (!spec) return this.forget(workload.key);
    const record = this.#recordOf(workload, spec);
    if (workload.isRollingOut) record.isMixed = true;
    if (workload.canaryEnd) startAgain(record);
  }

  /** A proxy said how calls of a function ended: of a canary, or of one that has some. */
  hear(workload: Workload, counts: CallCounts, nowMs: number): void {
    for (const key of this.#ofStable.get(workload.key) ?? []) {
      const window = this.#records.get(key)?.counted;
      if (window?.sinceMs !== undefined && nowMs - window.heardMs <= NO_CALLS_MS) window.stable.add(counts);
    }
    const spec = workload.fn?.spec.canary;
    if (!spec) return;
    const record = this.#recordOf(workload, spec);
    if (workload.canaryEnd) record.why = undefined;
    if (isOfTwoVersions(record, workload, nowMs) || workload.canaryEnd) return startAgain(record);
    record.counted.sinceMs ??= nowMs;
    record.counted.heardMs = nowMs;
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
    const record = recordFor(stable, revision);
    // A new Deployment has no revision at first.
    record.isMixed = known !== undefined && known.revision !== '' && known.revision !== revision;
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
      const why = rollBack && whyRollBack(record, record.before, rollBack, of);
      record.why ??= why;
    }
    // One process judges: others have counted other calls together.
    if (!isLeader()) record.why = undefined;
    else if (record.why !== undefined && !record.isWriting && nowMs >= record.retryAtMs)
      void this.#rollBack(workload, record, { why: record.why, nowMs });
  }

  async #rollBack(
    workload: Workload,
    record: CanaryRecord,
    { why, nowMs }: { readonly why: string; readonly nowMs: number },
  ): Promise<void> {
    record.isWriting = true;
    try {
      await this.#options.rollBack(workload, why);
      record.why = undefined;
      record.backoff.reset();
    } catch (error) {
      record.retryAtMs = nowMs + record.backoff.next();
      if (nowMs - record.loggedAtMs >= LOG_AGAIN_MS) {
        record.loggedAtMs = nowMs;
        const told = { function: workload.key, why, error: describeError(error) };
        this.#options.log.warn(told, 'rolling back failed; trying again, at most once a minute at last');
      }
    }
    record.isWriting = false;
  }
}

/** Over the window that has ended; durations over as many windows as it takes. */
function whyRollBack(
  record: CanaryRecord,
  window: Parts,
  rollBack: RollBackSpec,
  of: string,
): string | undefined {
  const { canary, stable } = record.times;
  canary.add(window.canary.counts);
  stable.add(window.stable.counts);
  const byErrors = whyByErrors(window.canary, window.stable, rollBack, of);
  if (!canCompareTimes(canary, stable)) return byErrors;
  record.times = parts();
  return byErrors ?? whyByTimes(canary, stable, rollBack, of);
}

/** While it is rolled out, and until the pods of the older version have ended. */
function isOfTwoVersions(
  record: CanaryRecord,
  { isRollingOut, terminationGraceMs }: Workload,
  nowMs: number,
): boolean {
  const wasMixed = record.isMixed;
  record.isMixed = isRollingOut;
  if (wasMixed && !isRollingOut) {
    const graceMs = Math.max(LEAST_GRACE_MS, terminationGraceMs);
    record.countsFromMs = nowMs + Math.min(graceMs, MOST_GRACE_MS);
  }
  return isRollingOut || nowMs < record.countsFromMs;
}

/** What was counted is not to count; the last judgement stays, for people. */
function startAgain(record: CanaryRecord): void {
  record.counted = counted();
  record.times = parts();
}

function recordFor(stable: string, revision: string): CanaryRecord {
  return {
    stable,
    revision,
    counted: counted(),
    before: undefined,
    times: parts(),
    isMixed: false,
    countsFromMs: -Infinity,
    why: undefined,
    isWriting: false,
    backoff: createBackoff(RETRY),
    retryAtMs: -Infinity,
    loggedAtMs: -Infinity,
  };
}

function parts(): Parts {
  return { canary: new CallTally(), stable: new CallTally() };
}

function counted(): Counted {
  return { sinceMs: undefined, heardMs: -Infinity, ...parts() };
}
