/**
 * The line of waiting calls, in order of arrival. It is the proxy's counterpart of sidecar/limits/waiting-line.ts.
 * Here the links are in the ticket that each call has anyway, one object per call, because 50,000 may wait. The first
 * can be looked at without taking it out.
 */
export class Ticket<C> {
  readonly caller: C;
  /** Order of arrival; kept when the call comes back to the line. */
  readonly arrival: number;
  readonly arrivedMs: number;
  isWaiting = false;
  previous: Ticket<C> | undefined;
  next: Ticket<C> | undefined;

  constructor(caller: C, arrival: number, arrivedMs: number) {
    this.caller = caller;
    this.arrival = arrival;
    this.arrivedMs = arrivedMs;
  }
}

export class WaitingCalls<C> {
  #first: Ticket<C> | undefined;
  #last: Ticket<C> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): Ticket<C> | undefined {
    return this.#first;
  }

  /** By arrival: a newcomer goes to the end at once, one that comes back passes those that arrived later. */
  add(ticket: Ticket<C>): void {
    if (ticket.isWaiting) throw new RangeError(`call ${ticket.arrival} waits already`);
    let next: Ticket<C> | undefined;
    if (this.#last && this.#last.arrival > ticket.arrival) {
      next = this.#first;
      while (next && next.arrival < ticket.arrival) next = next.next;
    }
    this.#link(ticket, next);
  }

  /** O(1) from anywhere; false when it was not waiting. */
  remove(ticket: Ticket<C>): boolean {
    if (!ticket.isWaiting) return false;
    const { previous, next } = ticket;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    ticket.isWaiting = false;
    ticket.previous = ticket.next = undefined;
    this.#length--;
    return true;
  }

  #link(ticket: Ticket<C>, next: Ticket<C> | undefined): void {
    const previous = next ? next.previous : this.#last;
    ticket.previous = previous;
    ticket.next = next;
    if (previous) previous.next = ticket;
    else this.#first = ticket;
    if (next) next.previous = ticket;
    else this.#last = ticket;
    ticket.isWaiting = true;
    this.#length++;
  }
}
