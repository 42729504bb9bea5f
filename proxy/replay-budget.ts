/**
 * Bodies that are kept while they are sent, so that a refused call can be sent again, cost up to 1 MiB a call
 * that runs. All together may hold so much; a call that comes when it is spent is streamed and not kept: it
 * loses its second chance, the proxy does not lose its memory.
 */
const MAX_BYTES_A_CALL = 1_048_576;

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
   * @returns how much may be kept and how to give it back; undefined when nothing may
   */
  reserve(length: number | undefined): { readonly bytes: number; readonly release: () => void } | undefined {
    const bytes = Math.min(length ?? MAX_BYTES_A_CALL, MAX_BYTES_A_CALL);
    if (this.#reserved + bytes > this.#maxBytes) return undefined;
    this.#reserved += bytes;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      this.#reserved -= bytes;
    };
    return { bytes, release };
  }
}
