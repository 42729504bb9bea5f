/**
 * The last lines of a container's current run, for `kubectl logs`. Bounded: 5,000 lines, then the oldest go.
 */
const KEPT_LINES = 5_000;

export class LogBuffer {
  #lines: string[] = [];
  readonly #followers = new Set<(line: string | undefined) => void>();

  push(line: string): void {
    this.#lines.push(line);
    // Cut in blocks: a shift for each line would cost O(n) each time.
    if (this.#lines.length > KEPT_LINES * 1.2) this.#lines = this.#lines.slice(-KEPT_LINES);
    for (const follow of this.#followers) follow(line);
  }

  /** A new run begins with an empty log. */
  clear(): void {
    this.#lines = [];
  }

  /** The container is gone for good; followers end. */
  end(): void {
    for (const follow of this.#followers) follow(undefined);
    this.#followers.clear();
  }

  async *read(tailLines: number | undefined, follow: boolean): AsyncGenerator<Buffer> {
    const pending: (string | undefined)[] =
      tailLines === undefined ? [...this.#lines] : tail(this.#lines, tailLines);
    let wake = () => {};
    const listener = (line: string | undefined) => {
      pending.push(line);
      wake();
    };
    if (follow) this.#followers.add(listener);
    try {
      for (;;) {
        for (const line of pending.splice(0)) {
          if (line === undefined) return;
          yield Buffer.from(`${line}\n`);
        }
        if (!follow) return;
        if (pending.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#followers.delete(listener);
    }
  }
}

function tail(lines: readonly string[], count: number): string[] {
  return count === 0 ? [] : lines.slice(-count);
}
