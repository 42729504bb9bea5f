/**
 * Sidecars and the messages between them and the scaler, for a property test of the split: in order for each
 * pod, but late or lost. What a sidecar does here is what the contract says: it admits below its limit, takes
 * the share it hears, begins with one call, and admits nothing after it noticed its end.
 */
import { sharesOf, splitShares, type Ledger, type SharePod } from '../../../scaler/shares/shares.ts';

export interface Step {
  readonly kind:
    | 'add'
    | 'ready'
    | 'end'
    | 'notice'
    | 'gone'
    | 'restart'
    | 'share'
    | 'lose-share'
    | 'report'
    | 'hear'
    | 'lose-report'
    | 'start'
    | 'finish'
    | 'split'
    | 'new-leader';
  readonly pod: number;
}

interface Report {
  readonly limit: number;
  readonly runningNow: number;
  readonly waiting: number;
  readonly afterNotice: boolean;
}

interface SimPod {
  readonly name: string;
  limit: number;
  running: number;
  /** Of the running ones: admitted on the initial one place, before any share was heard. */
  initial: number;
  hasHeardShare: boolean;
  isReady: boolean;
  isEnding: boolean;
  hasNoticed: boolean;
  isOld: boolean;
  shares: number[];
  reports: Report[];
  heard: Report | undefined;
}

export class ShareSim {
  readonly #limit: number;
  readonly #perPod: number;
  #pods: SimPod[] = [];
  #ledger: Ledger = new Map();
  #count = 0;

  constructor(limit: number, perPod: number) {
    this.#limit = limit;
    this.#perPod = perPod;
  }

  get starting(): number {
    return this.#pods.filter((pod) => !pod.isReady && !pod.isEnding).length;
  }

  take({ kind, pod: index }: Step): void {
    if (kind === 'add') return this.#add();
    if (kind === 'split') return this.#split();
    if (kind === 'new-leader') return this.#newLeader();
    const pod = this.#pods[index % Math.max(1, this.#pods.length)];
    if (pod) this.#podStep(kind, pod);
  }

  /** What all pods together may run or do run, but for the one call with which each begins. */
  enforced(): number {
    return this.#pods.reduce((sum, pod) => {
      const limit = pod.hasHeardShare && !pod.hasNoticed ? pod.limit : 0;
      return sum + Math.max(limit, pod.running - pod.initial);
    }, 0);
  }

  readyLimits(): number[] {
    return this.#pods.filter((pod) => pod.isReady && !pod.isEnding).map((pod) => pod.limit);
  }

  /** All calls end, all messages arrive, time passes. */
  settle(): void {
    for (const pod of this.#pods) [pod.running, pod.initial] = [0, 0];
    for (let round = 0; round < 15; round++) {
      for (const pod of this.#pods) {
        if (pod.isEnding) pod.hasNoticed = true;
        while (pod.shares.length > 0) this.#podStep('share', pod);
        this.#podStep('report', pod);
        while (pod.reports.length > 0) this.#podStep('hear', pod);
      }
      this.#split();
    }
  }

  describe(): string {
    return JSON.stringify({ pods: this.#pods, ledger: [...this.#ledger] }, undefined, 1);
  }

  #add(): void {
    if (this.#pods.length >= 6) return;
    const blank = { limit: 1, running: 0, initial: 0, hasHeardShare: false, isReady: false, isEnding: false };
    const rest = { hasNoticed: false, isOld: false, shares: [], reports: [], heard: undefined };
    this.#pods.push({ name: `p${this.#count++}`, ...blank, ...rest });
  }

  #podStep(kind: Step['kind'], pod: SimPod): void {
    switch (kind) {
      case 'ready':
        pod.isReady = true;
        break;
      case 'end':
        pod.isEnding = true;
        break;
      case 'notice':
        pod.hasNoticed = pod.isEnding;
        break;
      case 'gone':
        if (pod.isEnding) this.#pods = this.#pods.filter((other) => other !== pod);
        break;
      case 'restart':
        // The container, not the pod: what ran is gone and the limit is the initial one again.
        Object.assign(pod, { limit: 1, running: 0, initial: 0, hasHeardShare: false });
        break;
      case 'share':
      case 'lose-share':
        this.#deliverShare(pod, kind === 'lose-share');
        break;
      case 'report':
        pod.reports.push({
          limit: pod.limit,
          runningNow: pod.running,
          waiting: 0,
          afterNotice: pod.hasNoticed,
        });
        break;
      case 'hear':
        pod.heard = pod.reports.shift() ?? pod.heard;
        break;
      case 'lose-report':
        pod.reports.shift();
        break;
      default:
        this.#work(kind, pod);
    }
  }

  #deliverShare(pod: SimPod, isLost: boolean): void {
    const share = pod.shares.shift();
    if (share === undefined || isLost) return;
    pod.limit = share;
    pod.hasHeardShare = true;
    this.#podStep('report', pod); // it says so at once
  }

  #work(kind: Step['kind'], pod: SimPod): void {
    if (kind === 'start' && pod.isReady && !pod.hasNoticed && pod.running < pod.limit) {
      pod.running++;
      if (!pod.hasHeardShare) pod.initial++;
    }
    if (kind !== 'finish' || pod.running === 0) return;
    pod.running--;
    pod.initial = Math.min(pod.initial, pod.running);
    this.#podStep('report', pod); // at once where it falls to a lowered limit; here always
  }

  #split(): void {
    const pods = this.#pods.map(shareView);
    const { ledger } = splitShares({ limit: this.#limit, perPod: this.#perPod, pods }, this.#ledger);
    this.#ledger = ledger;
    const shares = sharesOf(pods, ledger);
    for (const pod of this.#pods) {
      const share = shares[pod.name];
      if (share !== undefined) pod.shares.push(share);
    }
  }

  /** Knows nothing but the pods as they are, after the second in which the former's messages arrive. */
  #newLeader(): void {
    this.#ledger = new Map();
    for (const pod of this.#pods) {
      while (pod.shares.length > 0) this.#podStep('share', pod);
      pod.reports = [];
      pod.heard = undefined;
      pod.isOld = pod.isReady || pod.hasHeardShare;
    }
  }
}

function shareView(pod: SimPod): SharePod {
  const hasEnded = pod.heard?.afterNotice === true;
  const live = pod.isReady ? 'ready' : 'starting';
  return {
    name: pod.name,
    isOld: pod.isOld,
    state: pod.isEnding ? (hasEnded ? 'drained' : 'ending') : live,
    report: pod.heard,
  };
}
