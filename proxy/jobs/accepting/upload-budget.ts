/**
 * Memory of the bodies of jobs and events, from their first byte until JetStream has them. A client that sends
 * slowly, or not to the end, holds what it has sent. All uploads of the proxy together have a bound. Those to one
 * function or event may hold three times what the bound leaves free, so that none can use up what the others need.
 */
import { ReasonError } from '../../../common/runtime/errors.ts';

const RETRY_AFTER_SECONDS = 2;
const TIMES_FREE = 3;
/** An upload that holds less than this is not refused for its share: one whole body that travels in its message. */
const UPLOAD_ALWAYS_BYTES = 512 * 1024;

/** The memory that one upload holds. */
export interface UploadMemory {
  /** @throws ReasonError `queue-full`; nothing was added then */
  add(bytes: number): void;
  /** All of it; harmless twice. */
  release(): void;
}

export class UploadBudget {
  readonly #maxBytes: number;
  readonly #held = new Map<string, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param key the function or the event that it is for */
  open(key: string): UploadMemory {
    let own = 0;
    return {
      add: (bytes) => {
        this.#check(key, bytes);
        this.#count(key, bytes);
        own += bytes;
      },
      release: () => {
        this.#count(key, -own);
        own = 0;
      },
    };
  }

  #check(key: string, bytes: number): void {
    const free = this.#maxBytes - this.#bytes - bytes;
    const held = (this.#held.get(key) ?? 0) + bytes;
    if (free >= 0 && held <= Math.max(UPLOAD_ALWAYS_BYTES, TIMES_FREE * free)) return;
    const whose =
      free < 0 ? `bodies that come in hold ${this.#bytes}` : `those for ${key} hold ${held - bytes}`;
    const message = `${whose} of the proxy's ${this.#maxBytes} bytes for uploads (--upload-bytes); try again`;
    throw new ReasonError('queue-full', message, { retryAfterSeconds: RETRY_AFTER_SECONDS });
  }

  #count(key: string, bytes: number): void {
    this.#bytes += bytes;
    const held = (this.#held.get(key) ?? 0) + bytes;
    if (held === 0) this.#held.delete(key);
    else this.#held.set(key, held);
  }
}
