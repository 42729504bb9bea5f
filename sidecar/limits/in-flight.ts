/**
 * What was accepted and is not finished: calls that run, wait, or sleep between two tries, and open tunnels.
 * A drain waits for this and not for the breaker, which does not know of a call that sleeps.
 */
export class InFlight {
  #count = 0;
  #listeners: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  /** Counts one; returns how to count it off again, once however often it is called. */
  begin(): () => void {
    this.#count += 1;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.#count -= 1;
      if (this.#count === 0) for (const listener of this.#listeners.splice(0)) listener();
    };
  }

  /** Resolves when there is nothing, at once if so already. */
  idle(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : this.ended();
  }

  /** Resolves when all that runs now, or is the next to begin, has ended. */
  ended(): Promise<void> {
    return new Promise((resolve) => this.#listeners.push(resolve));
  }
}
