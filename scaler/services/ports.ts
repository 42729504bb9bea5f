/**
 * The proxies' ports for Services, and to which slice each was given. A port that was given back is not given out
 * again before all others were. Until kube-proxy has heard of it everywhere, callers of its former Service may come.
 */
export class PortRange {
  readonly #first: number;
  readonly #last: number;
  readonly #owners = new Map<number, string>();
  #next: number;

  /** @throws RangeError when the first is above the last */
  constructor(first: number, last: number) {
    if (first > last) throw new RangeError(`ports ${first} to ${last}: the first is above the last`);
    this.#first = first;
    this.#last = last;
    this.#next = first;
  }

  get size(): number {
    return this.#last - this.#first + 1;
  }

  get free(): number {
    return this.size - this.#owners.size;
  }

  /** Given out before, as its slice says. False when it is another's, or outside the range. */
  claim(port: number, owner: string): boolean {
    const known = this.#owners.get(port);
    if (known !== undefined) return known === owner;
    if (port < this.#first || port > this.#last) return false;
    this.#owners.set(port, owner);
    if (port >= this.#next) this.#next = this.#after(port);
    return true;
  }

  /** Undefined when all are given out. */
  give(owner: string): number | undefined {
    if (this.free === 0) return undefined;
    while (this.#owners.has(this.#next)) this.#next = this.#after(this.#next);
    const port = this.#next;
    this.#owners.set(port, owner);
    this.#next = this.#after(port);
    return port;
  }

  release(port: number, owner: string): void {
    if (this.#owners.get(port) === owner) this.#owners.delete(port);
  }

  #after(port: number): number {
    return port >= this.#last ? this.#first : port + 1;
  }
}
