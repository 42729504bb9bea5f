/**
 * Applies the split of NumberParallelRequest to one function as it is now, and says what to publish. The rules
 * are in `shares.ts`; this is the bridge from pods and reports to them.
 */
import type { ShareMessage } from '../../common/bus/messages.ts';
import type { Pod, Workload } from '../world/kube-objects.ts';
import { noteShares, sharesOf, splitShares, type SharePod } from './shares.ts';
import type { FunctionState } from '../facts/state.ts';
import type { World } from '../world/world.ts';

/** Shares are told again: core NATS may lose a message. */
const REPEAT_MS = 5_000;
/** A pod whose report shows another limit has missed its share: told again at once, but for reports under way. */
const MISSED_MS = 250;
/** A report that left up to a second before the drain may show less than was admitted until then. */
const REPORT_LAG_MS = 1_000;

/** A new leader grants nothing before the former's last grants, and the reports of them, have arrived. */
const HANDOVER_MS = 1_000;

export class Sharer {
  readonly #world: World;
  readonly #isLeader: () => boolean;
  #leadingSinceMs = 0;

  constructor(world: World, isLeader: () => boolean) {
    this.#world = world;
    this.#isLeader = isLeader;
  }

  onLeading(nowMs: number): void {
    this.#leadingSinceMs = nowMs;
  }

  /** The leader's grants, so that a follower can go on from them; our own come back too and change nothing. */
  hear(message: ShareMessage, state: FunctionState): void {
    if (!this.#isLeader()) {
      const isKnownPod = (name: string) => state.pods.has(name);
      state.ledger = noteShares(message.shares, state.ledger, isKnownPod);
    }
  }

  /**
   * By the clock alone. Whatever else a split depends on (pods, reports, limits) is shared out when it changes, so
   * a tick need not look at it again.
   */
  isDue({ sharesSentMs }: FunctionState, nowMs: number): boolean {
    if (sharesSentMs < this.#leadingSinceMs + HANDOVER_MS) return true;
    return nowMs - sharesSentMs >= REPEAT_MS || nowMs < sharesSentMs;
  }

  /** Undefined when there is nothing to split, or nothing new to say yet. */
  share(workload: Workload, state: FunctionState, nowMs: number): ShareMessage | undefined {
    const limit = workload.fn?.spec.parallelLimit;
    if (!workload.fn || limit === undefined || !this.#isLeader()) return undefined;
    if (nowMs - this.#leadingSinceMs < HANDOVER_MS) return undefined;
    const pods = [...this.#world.podsOf(workload).values()]
      .map((pod) => sharePod(pod, state))
      .filter((pod) => pod !== undefined);
    if (pods.length === 0) return undefined;
    const perPod = workload.fn.spec.parallelPerPod;
    const { ledger, isChanged } = splitShares({ limit, perPod, pods }, state.ledger);
    state.ledger = ledger;
    const hasMissed = pods.some(({ name, report }) => report && report.limit !== ledger.get(name)?.granted);
    const repeatMs = hasMissed ? MISSED_MS : REPEAT_MS;
    if (!isChanged && nowMs - state.sharesSentMs < repeatMs) return undefined;
    state.sharesSentMs = nowMs;
    return { limit, shares: sharesOf(pods, ledger) };
  }
}

/** Undefined for a pod that cannot admit anything: no sidecar, or no address yet. */
function sharePod(pod: Pod, state: FunctionState): SharePod | undefined {
  const seen = state.pods.get(pod.name);
  if (!pod.hasSidecar || pod.ip === undefined || !seen) return undefined;
  const report = state.activity.pods.get(pod.name);
  const isReady = pod.isReady || seen.saidReady;
  const ending = endingOf(pod, seen.endingSinceMs, report?.atMs);
  return {
    name: pod.name,
    isOld: seen.isOld,
    state: ending ?? (isReady ? 'ready' : 'starting'),
    report: report?.limit === undefined ? undefined : { ...report, limit: report.limit },
  };
}

function endingOf(pod: Pod, sinceMs: number | undefined, reportMs: number | undefined) {
  if (sinceMs === undefined && !pod.isEnding) return undefined;
  const hasSpoken = reportMs !== undefined && reportMs > (sinceMs ?? Infinity) + REPORT_LAG_MS;
  return hasSpoken ? 'drained' : 'ending';
}
