/**
 * What runs, for the clock to sweep: an array in which everything knows its place, so that adding and removing are
 * two assignments. A `Set` would do, but V8 replaces its table every few dozen additions. The old table, once in the
 * old generation, keeps alive every exchange that was in it. With a `Set`, a relay of small requests promoted a third
 * of its garbage and grew to 260 MB. With this list it promoted none.
 */
export interface Listed {
  /** Its index while it is in a list; the list's own. */
  place: number;
}

export class RunningList<T extends Listed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.place = this.#items.push(item) - 1;
  }

  /** Harmless for one that is not in it. */
  remove(item: T): void {
    const { place } = item;
    if (this.#items[place] !== item) return;
    const last = this.#items.pop() as T;
    if (last === item) return;
    this.#items[place] = last;
    last.place = place;
  }

  /** Calls for each one that is there; what a call adds is left out, and who stays may be called twice when others go. */
  forEach(call: (item: T) => void): void {
    // From the end: a removal puts the last one, which has had its call, in the place of the removed.
    for (let i = this.#items.length - 1; i >= 0; i--) {
      const item = this.#items[i];
      if (item) call(item);
    }
  }
}
