/**
 * Applies the split of NumberParallelRequest to one function as it is now, and says what to publish. The rules
 * are in `shares.ts`; this is the bridge from pods and reports to them.
 */
import type { ShareMessage } from '../../common/bus/messages.ts';
import type { Pod, Workload } from '../world/kube-objects.ts';
import { noteShares, sharesOf, splitShares, type Ledger, type SharePod } from './shares.ts';
import type { ObservedFunction } from '../observe/function-record.ts';
import type { WorldView } from '../world/world.ts';

/** Shares are told again: core NATS may lose a message. */
const SHARE_REPEAT_MS = 5_000;
/** A pod whose report shows another limit has missed its share: told again at once, except for reports under way. */
const MISSED_MS = 250;
/** A report that left up to a second before the drain may show less than was admitted until then. */
const REPORT_LAG_MS = 1_000;

/** A new leader grants nothing before the former's last grants, and the reports of them, have arrived. */
const HANDOVER_MS = 1_000;

interface Told {
  ledger: Ledger;
  sentMs: number;
}

const NONE: Ledger = new Map();

/** Owns what pods were granted, and when they were told. */
export class Sharer {
  readonly #world: WorldView;
  readonly #isLeader: () => boolean;
  /** By function; only of those with a limit over all pods. */
  readonly #told = new Map<string, Told>();
  #leadingSinceMs = 0;

  constructor(world: WorldView, isLeader: () => boolean) {
    this.#world = world;
    this.#isLeader = isLeader;
  }

  onLeading(nowMs: number): void {
    this.#leadingSinceMs = nowMs;
  }

  /** The leader's grants, so that a follower can go on from them; our own come back too and change nothing. */
  hear(key: string, message: ShareMessage, observed: ObservedFunction | undefined): void {
    if (this.#isLeader()) return;
    const isKnownPod = (name: string) => observed?.pods.has(name) === true;
    const told = this.#of(key);
    told.ledger = noteShares(message.shares, told.ledger, isKnownPod);
  }

  ledgerOf(key: string): Ledger {
    return this.#told.get(key)?.ledger ?? NONE;
  }

  /** A pod has said that it is ready or draining: all are told with the next share. */
  tellAgain(key: string): void {
    const told = this.#told.get(key);
    if (told) told.sentMs = 0;
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#told.delete(key);
  }

  /**
   * By the clock alone. Whatever else a split depends on (pods, reports, limits) is shared out when it changes, so
   * a tick need not look at it again.
   */
  isDue(key: string, nowMs: number): boolean {
    const sentMs = this.#told.get(key)?.sentMs ?? 0;
    if (sentMs < this.#leadingSinceMs + HANDOVER_MS) return true;
    return nowMs - sentMs >= SHARE_REPEAT_MS || nowMs < sentMs;
  }

  /** Undefined when there is nothing to split, or nothing new to say yet. */
  share(workload: Workload, observed: ObservedFunction, nowMs: number): ShareMessage | undefined {
    const limit = workload.fn?.spec.parallelLimit;
    if (!workload.fn || limit === undefined || !this.#isLeader()) return undefined;
    if (nowMs - this.#leadingSinceMs < HANDOVER_MS) return undefined;
    const pods = [...this.#world.podsOf(workload).values()]
      .map((pod) => sharePod(pod, observed))
      .filter((pod) => pod !== undefined);
    if (pods.length === 0) return undefined;
    const perPod = workload.fn.spec.parallelPerPod;
    const told = this.#of(workload.key);
    const { ledger, isChanged } = splitShares({ limit, perPod, pods }, told.ledger);
    told.ledger = ledger;
    const hasMissed = pods.some(({ name, report }) => report && report.limit !== ledger.get(name)?.granted);
    const repeatMs = hasMissed ? MISSED_MS : SHARE_REPEAT_MS;
    if (!isChanged && nowMs - told.sentMs < repeatMs) return undefined;
    told.sentMs = nowMs;
    return { limit, shares: sharesOf(pods, ledger) };
  }

  /** Made when it is first needed. */
  #of(key: string): Told {
    const known = this.#told.get(key);
    if (known) return known;
    const told = { ledger: NONE, sentMs: 0 };
    this.#told.set(key, told);
    return told;
  }
}

/** Undefined for a pod that cannot admit anything: no sidecar, or no address yet. */
function sharePod(pod: Pod, observed: ObservedFunction): SharePod | undefined {
  const podRecord = observed.pods.get(pod.name);
  if (!pod.hasSidecar || pod.ip === undefined || !podRecord) return undefined;
  const report = observed.activity.pods.get(pod.name);
  const isReady = pod.isReady || podRecord.announcedReady;
  const ending = endingOf(pod, podRecord.endingSinceMs, report?.atMs);
  return {
    name: pod.name,
    isOld: podRecord.isOld,
    state: ending ?? (isReady ? 'ready' : 'starting'),
    report: report?.limit === undefined ? undefined : { ...report, limit: report.limit },
  };
}

function endingOf(pod: Pod, sinceMs: number | undefined, reportMs: number | undefined) {
  if (sinceMs === undefined && !pod.isEnding) return undefined;
  const hasSpoken = reportMs !== undefined && reportMs > (sinceMs ?? Infinity) + REPORT_LAG_MS;
  return hasSpoken ? 'drained' : 'ending';
}
