/**
 * The last lines of one run of a container, for `kubectl logs`. Bounded: 5,000 lines, then the oldest go. What
 * it gives up: `--previous`, since times and `--since`.
 */
const KEPT_LINES = 5_000;

export interface ReadOptions {
  readonly tailLines: number | undefined;
  /** Go on with what is written later, until the run ends. */
  readonly follow: boolean;
  /** Ends a reader that follows. */
  readonly signal: AbortSignal;
}

export class LogBuffer {
  #lines: string[] = [];
  #isEnded = false;
  readonly #followers = new Set<(line?: string) => void>();

  push(line: string): void {
    this.#lines.push(line);
    // Cut in blocks: a shift for each line would cost O(n) each time.
    if (this.#lines.length > KEPT_LINES * 1.2) this.#lines = this.#lines.slice(-KEPT_LINES);
    for (const follow of this.#followers) follow(line);
  }

  /** The run has ended and all its output was pushed; followers end. */
  end(): void {
    this.#isEnded = true;
    for (const follow of this.#followers) follow();
  }

  async *read({ tailLines, follow, signal }: ReadOptions): AsyncGenerator<Buffer> {
    const pending = this.#lines.slice(-Math.min(KEPT_LINES, tailLines ?? KEPT_LINES));
    if (tailLines === 0) pending.length = 0;
    let wake = () => {};
    const listener = (line?: string) => {
      if (line !== undefined) pending.push(line);
      wake();
    };
    const leave = () => wake();
    this.#followers.add(listener);
    signal.addEventListener('abort', leave);
    try {
      for (;;) {
        for (const line of pending.splice(0)) yield Buffer.from(`${line}\n`);
        if (!follow || signal.aborted || (this.#isEnded && pending.length === 0)) return;
        if (pending.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#followers.delete(listener);
      signal.removeEventListener('abort', leave);
    }
  }
}
