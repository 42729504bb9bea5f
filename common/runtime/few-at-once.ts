/** Work that is done a few at a time, the rest in line. */

export interface FewAtOnceOptions {
  readonly atOnce: number;
  /** How many may wait. Default: no bound; then the caller has one. */
  readonly inLine?: number;
  /** Why work is refused when the line is full. */
  readonly full?: string;
}

export class FewAtOnce {
  readonly #options: FewAtOnceOptions;
  readonly #line: (() => void)[] = [];
  #running = 0;

  constructor(options: FewAtOnceOptions) {
    this.#options = options;
  }

  /** Work that runs, and work in line. */
  get open(): number {
    return this.#running + this.#line.length;
  }

  /** First come, first served. Rejects as the work does, and when the line is full. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { atOnce, inLine = Infinity, full = 'the line is full' } = this.#options;
    if (this.#running >= atOnce) {
      if (this.#line.length >= inLine) throw new Error(full);
      await new Promise<void>((turn) => this.#line.push(turn)); // the place is handed over, so nobody overtakes
    } else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
