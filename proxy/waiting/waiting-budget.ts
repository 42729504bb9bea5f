/**
 * What all waiting calls of this proxy may hold together, so that many functions at zero cannot do what one may not.
 * Bytes count what a call really holds: its connection and objects, its head, and as much of a body as Node reads
 * before it pauses the socket.
 *
 * One function may hold three times the bytes that it leaves free. Alone it gets three quarters of all; of two that take
 * what they can each gets three sevenths, and a seventh is left for the next. So no function's callers can use up what
 * others need, and none is held to a fixed part while there is room.
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

  /** One function's part of it. */
  share(): BudgetShare {
    return new BudgetShare(this, this.#limits.maxBytes);
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

/** Times what is left free that one function may hold. */
const TIMES_FREE = 3;
/** A function may always hold that much: with little room in all the rule would leave it nothing. */
const WAITING_ALWAYS_BYTES = 256 * 1024;

/** The budget as one function's line sees it. */
class BudgetShare {
  readonly #budget: WaitingBudget;
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(budget: WaitingBudget, maxBytes: number) {
    this.#budget = budget;
    this.#maxBytes = maxBytes;
  }

  whyFull(bytes: number): string | undefined {
    const full = this.#budget.whyFull(bytes);
    if (full !== undefined) return full;
    const held = this.#bytes + bytes;
    const free = this.#maxBytes - this.#budget.bytes - bytes;
    if (held <= Math.max(WAITING_ALWAYS_BYTES, TIMES_FREE * free)) return undefined;
    return `calls waiting for this function hold ${this.#bytes} bytes, its share of the proxy's ${this.#maxBytes}`;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.add(bytes);
  }

  remove(bytes: number): void {
    this.#bytes -= bytes;
    this.#budget.remove(bytes);
  }
}

/**
 * What a waiting call costs besides its own bytes: socket, parser, request, response and ours. Measured as
 * resident memory with 8,000 waiting: 17.5 KB each (with a Koa context for each it was 23 KB).
 */
const CALL_BYTES = 18 * 1024;

/** Node's server reads at most one buffer of 64 KiB beyond the 16 KiB after which it pauses a socket. */
const MAX_READ_AHEAD_BYTES = 80 * 1024;

/** @param bodyLength undefined: unknown (chunked) */
export function heldBytes(headBytes: number, bodyLength: number | undefined): number {
  return CALL_BYTES + headBytes + Math.min(bodyLength ?? MAX_READ_AHEAD_BYTES, MAX_READ_AHEAD_BYTES);
}
