/** The end of a grace period: it can be brought forward (a second, shorter delete), never put off. */
export class Deadline {
  /** Resolves when the time has come. */
  readonly passed: Promise<void>;
  #at: number;
  #timer: NodeJS.Timeout;
  #resolve!: () => void;

  constructor(ms: number) {
    this.#at = performance.now() + ms;
    this.passed = new Promise((resolve) => (this.#resolve = resolve));
    this.#timer = setTimeout(this.#resolve, ms);
  }

  get leftMs(): number {
    return Math.max(0, this.#at - performance.now());
  }

  shorten(ms: number): void {
    if (ms >= this.leftMs) return;
    this.#at = performance.now() + ms;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#resolve, ms);
  }

  /** Everything has ended: the timer must keep nobody waiting. */
  cancel(): void {
    clearTimeout(this.#timer);
  }
}
