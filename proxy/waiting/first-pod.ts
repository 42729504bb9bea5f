/**
 * Connections that came by a Service of a sleeping function and wait for its first pod. A connection takes no place
 * in a pod: it goes where the Service would have led it, once there is a pod to lead it to. So unlike the throttler
 * this line moves as a whole. It shares the throttler's budget, its wake and its reasons.
 */
import type { ReasonError } from '../../common/runtime/errors.ts';
import type { Endpoint } from '../pods/endpoint.ts';
import type { PodGroup } from '../pods/pod-group.ts';
import { neverComes, noPodCame, queueFull } from './refusals.ts';
import type { ThrottlerLimits, ThrottlerOptions } from './throttler.ts';
import { heldBytes } from './waiting-budget.ts';

export interface PodWaiter {
  /** On the clock: a connection that comes back keeps its deadline. */
  readonly arrivedMs: number;
  /** There is one; called once. */
  come(endpoint: Endpoint): void;
  /** None came; called once, instead of `come`. */
  refused(error: ReasonError): void;
}

type Shared = Pick<ThrottlerOptions, 'budget' | 'clock' | 'random' | 'explainCold' | 'hopeless'>;

export interface FirstPodOptions extends Shared {
  readonly pods: Pick<PodGroup, 'ready'>;
  readonly limits: () => Omit<ThrottlerLimits, 'placeMs'>;
  /** Called on every change of how many wait. */
  readonly onWaiting: (waiting: number) => void;
}

/** What one holds while it waits: what was read of it, at most. */
const HELD_BYTES = heldBytes(0, undefined);

export class FirstPod {
  readonly #options: FirstPodOptions;
  readonly #waiting = new Map<PodWaiter, () => void>();

  constructor(options: FirstPodOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get limits(): { readonly coldStartMs: number } {
    return this.#options.limits();
  }

  /** Calls `come` at once where a pod is ready. Returns what ends the wait. */
  join(waiter: PodWaiter): () => void {
    const endpoint = this.#choose();
    if (endpoint) waiter.come(endpoint);
    else {
      const error = this.#whyNot();
      if (error) waiter.refused(error);
      else this.#add(waiter);
    }
    return () => this.#leave(waiter);
  }

  /** Something about the pods has changed. */
  changed(): void {
    if (this.#waiting.size === 0 || this.#options.pods.ready.length === 0) return;
    for (const waiter of this.#waiting.keys()) {
      const endpoint = this.#choose();
      if (endpoint && this.#leave(waiter)) waiter.come(endpoint);
    }
  }

  refuseAll(error: ReasonError): void {
    for (const waiter of this.#waiting.keys()) if (this.#leave(waiter)) waiter.refused(error);
  }

  #choose(): Endpoint | undefined {
    const { pods, random } = this.#options;
    // As kube-proxy does: any of them.
    const usable = pods.ready.filter(({ suspicion }) => suspicion === undefined);
    const from = usable.length > 0 ? usable : pods.ready;
    return from[Math.floor(random() * from.length)];
  }

  #whyNot(): ReasonError | undefined {
    const { budget, limits, hopeless } = this.#options;
    const never = hopeless?.();
    if (never !== undefined) return neverComes(never);
    const full =
      this.waiting >= limits().maxWaiting
        ? `${this.waiting} connections are waiting for this function, its limit`
        : budget.whyFull(HELD_BYTES);
    return full === undefined ? undefined : queueFull(full);
  }

  #add(waiter: PodWaiter): void {
    const { budget, clock, limits, onWaiting } = this.#options;
    const leftMs = waiter.arrivedMs + limits().coldStartMs - clock.now();
    const cancel = clock.after(Math.max(1, leftMs), () => {
      if (this.#leave(waiter)) waiter.refused(this.#lateError());
    });
    this.#waiting.set(waiter, cancel);
    budget.add(HELD_BYTES);
    onWaiting(this.waiting);
  }

  #leave(waiter: PodWaiter): boolean {
    const cancel = this.#waiting.get(waiter);
    if (!cancel) return false;
    cancel();
    this.#waiting.delete(waiter);
    this.#options.budget.remove(HELD_BYTES);
    this.#options.onWaiting(this.waiting);
    return true;
  }

  #lateError(): ReasonError {
    const { limits, explainCold } = this.#options;
    return noPodCame(limits().coldStartMs, explainCold());
  }
}
