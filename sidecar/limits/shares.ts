/**
 * This pod's share of NumberParallelRequest, a limit over pods that no pod can see. The scaler splits it. We hold
 * what we heard last, even when NATS or the scaler are gone, because shares sum to the limit only as long as each pod
 * keeps to its own.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { decodeShare } from '../../common/bus/messages.ts';

export interface ShareOptions {
  readonly pod: string;
  readonly parallelPerPod: number;
  /** 0: no limit over pods, so no share to wait for. */
  readonly parallelLimit: number;
  readonly log: Log;
}

/**
 * The limit before the scaler was heard. Where there is a limit over pods, one call may run, or the first caller
 * would wait for a round trip. That exceeds the limit by one at most, while this pod is new. Jobs wait (see {@link
 * Shares.isKnown}).
 */
export function firstLimit(parallelPerPod: number, parallelLimit: number): number {
  return parallelLimit === 0 ? parallelPerPod : 1;
}

export class Shares {
  readonly #options: ShareOptions;
  readonly #onLimit: (limit: number) => void;
  #limit: number;
  #isKnown: boolean;
  #hasHeardScaler = false;

  constructor(options: ShareOptions, onLimit: (limit: number) => void) {
    this.#options = options;
    this.#onLimit = onLimit;
    this.#isKnown = options.parallelLimit === 0;
    this.#limit = firstLimit(options.parallelPerPod, options.parallelLimit);
  }

  get limit(): number {
    return this.#limit;
  }

  /** False: no jobs yet, a new pod's share of them is zero. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** What a proxy has heard of our share: for the moments in which a new pod does not reach NATS yet. */
  hearFromProxy(data: Uint8Array): void {
    if (!this.#hasHeardScaler) this.#read(data);
  }

  /** A message of the share subject. */
  hear(data: Uint8Array): void {
    if (this.#read(data)) this.#hasHeardScaler = true;
  }

  /** Whether it names this pod. */
  #read(data: Uint8Array): boolean {
    const { pod, parallelLimit, parallelPerPod, log } = this.#options;
    if (parallelLimit === 0) return false;
    try {
      const share = decodeShare(data).shares[pod];
      if (share === undefined) return false; // a pod that is not listed keeps what it has
      this.#isKnown = true;
      this.#set(Math.min(parallelPerPod, Math.floor(share)));
      return true;
    } catch (error) {
      log.warn({ error: describeError(error) }, 'share not understood; the last one stays');
      return false;
    }
  }

  #set(limit: number): void {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#onLimit(limit);
  }
}
