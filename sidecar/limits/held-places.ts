/**
 * Places that were granted to a proxy and wait for its call. Each is a place of the breaker, so what is held counts as
 * running and no more than the limit ever runs. It is claimed once, given back, or free again after HOLD_MS.
 */
import type { Place } from './breaker.ts';
import { HOLD_MS } from '../../common/places/protocol.ts';

interface Held<O> {
  readonly owner: O;
  readonly place: Place;
  readonly timer: NodeJS.Timeout;
}

export class HeldPlaces<O> {
  readonly #held = new Map<string, Held<O>>();
  readonly #onExpired: (owner: O) => void;
  readonly #holdMs: number;
  #ids = 0;

  /** @param onExpired the owner's call never came */
  constructor(onExpired: (owner: O) => void, holdMs = HOLD_MS) {
    this.#onExpired = onExpired;
    this.#holdMs = holdMs;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Returns the id with which the place is claimed. */
  hold(owner: O, place: Place): string {
    const id = String(++this.#ids);
    const timer = setTimeout(() => {
      this.#onExpired(owner); // before the release: the next turn must know
      this.#release(id);
    }, this.#holdMs);
    this.#held.set(id, { owner, place, timer });
    return id;
  }

  /** The place, now the caller's to release; undefined when it was claimed or expired before. */
  claim(id: string): Place | undefined {
    const held = this.#held.get(id);
    if (!held) return undefined;
    clearTimeout(held.timer);
    this.#held.delete(id);
    return held.place;
  }

  /** By its owner alone. Harmless when it is not held any more. */
  giveBack(owner: O, id: string): void {
    if (this.#held.get(id)?.owner === owner) this.#release(id);
  }

  /** The owner has gone. */
  releaseAll(owner: O): void {
    for (const [id, held] of this.#held) if (held.owner === owner) this.#release(id);
  }

  #release(id: string): void {
    this.claim(id)?.release();
  }
}
