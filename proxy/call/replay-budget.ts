/**
 * Bodies that are kept while they are sent, so that a refused call can be sent again, cost up to 1 MiB per call that
 * runs. All bodies together may hold so much. A call that comes when the budget is spent is streamed and not kept. It
 * loses its second chance, but the proxy stays within its memory.
 */
const MAX_BYTES_PER_CALL = 1_048_576;

export interface Reservation {
  readonly bytes: number;
  /** Gives back what is above; a body of unknown length reserves the most that it may need. */
  shrinkTo(bytes: number): void;
  release(): void;
}

export class ReplayBudget {
  readonly #maxBytes: number;
  #reserved = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /**
   * @param length of the body; undefined: unknown
   * @returns how much may be kept; undefined when nothing may
   */
  reserve(length: number | undefined): Reservation | undefined {
    const bytes = Math.min(length ?? MAX_BYTES_PER_CALL, MAX_BYTES_PER_CALL);
    if (this.#reserved + bytes > this.#maxBytes) return undefined;
    this.#reserved += bytes;
    let held = bytes;
    const shrinkTo = (needed: number): void => {
      if (needed >= held) return;
      this.#reserved -= held - needed;
      held = needed;
    };
    return { bytes, shrinkTo, release: () => shrinkTo(0) };
  }
}
