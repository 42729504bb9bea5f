/**
 * What all waiting calls of this proxy may hold together, so that many functions at zero cannot do what one
 * may not. Bytes count what a call really holds: its connection and objects, its head, and as much of a body
 * as Node reads before it notices that nobody wants it yet.
 */
export interface WaitingBudgetLimits {
  readonly maxCalls: number;
  readonly maxBytes: number;
}

export class WaitingBudget {
  readonly #limits: WaitingBudgetLimits;
  #calls = 0;
  #bytes = 0;

  constructor(limits: WaitingBudgetLimits) {
    this.#limits = limits;
  }

  get calls(): number {
    return this.#calls;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Undefined when one more call of that size may wait. */
  whyFull(bytes: number): string | undefined {
    if (this.#calls >= this.#limits.maxCalls)
      return `${this.#calls} calls are waiting in this proxy, its limit`;
    if (this.#bytes + bytes > this.#limits.maxBytes)
      return `calls waiting in this proxy hold ${this.#bytes} bytes, its limit is ${this.#limits.maxBytes}`;
    return undefined;
  }

  add(bytes: number): void {
    this.#calls++;
    this.#bytes += bytes;
  }

  remove(bytes: number): void {
    this.#calls--;
    this.#bytes -= bytes;
  }
}

/**
 * What a waiting call costs besides its own bytes: socket, parser, request, response and ours. Measured as
 * resident memory with 8,000 waiting: 17.5 KB each (with a Koa context for each it was 23 KB).
 */
const CALL_BYTES = 18 * 1024;

/** Node's server reads at most one buffer of 64 KiB beyond the 16 KiB after which it pauses a socket. */
const MOST_READ_AHEAD = 80 * 1024;

/** @param bodyLength undefined: unknown (chunked) */
export function heldBytes(headBytes: number, bodyLength: number | undefined): number {
  return CALL_BYTES + headBytes + Math.min(bodyLength ?? MOST_READ_AHEAD, MOST_READ_AHEAD);
}
