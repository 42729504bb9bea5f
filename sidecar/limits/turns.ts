/**
 * Whose turn a free place is: smooth weighted round robin over those who wait, weighted by how many each of them
 * holds. A proxy with 30 callers gets three places where one with 10 gets one, evenly mixed, so a caller waits as long
 * behind either. It keeps two numbers for each proxy and nothing for a caller. Pure.
 *
 * Invariants:
 *  1. a turn goes only to a proxy that waits, and takes 1 from its count until it tells a new one;
 *  2. a count that was not told again within `staleMs` is 0;
 *  3. credits of all members sum to 0 after each turn, so a turn is neither lost nor given twice. What one member owes
 *     or is owed outlives a moment without callers, and not a pause of `staleMs`.
 */
interface Member {
  waiting: number;
  credit: number;
  toldAtMs: number;
}

export class Turns<M> {
  readonly #members = new Map<M, Member>();
  readonly #staleMs: number;
  #waiting = 0;

  constructor(staleMs: number) {
    this.#staleMs = staleMs;
  }

  /** All who wait, as last told; stale counts are found by {@link next}. */
  get waiting(): number {
    return this.#waiting;
  }

  tell(member: M, waiting: number, nowMs: number): void {
    if (!Number.isSafeInteger(waiting) || waiting < 0)
      throw new RangeError(`waiting must be a whole number ≥ 0, got ${waiting}`);
    const known = this.#members.get(member) ?? { waiting: 0, credit: 0, toldAtMs: nowMs };
    this.#members.set(member, known);
    if (nowMs - known.toldAtMs > this.#staleMs) known.credit = 0;
    known.toldAtMs = nowMs;
    this.#set(known, waiting);
  }

  remove(member: M): void {
    const known = this.#members.get(member);
    if (!known) return;
    this.#set(known, 0);
    this.#members.delete(member);
  }

  /** Who is next; undefined: nobody waits. */
  next(nowMs: number): M | undefined {
    let first: M | undefined;
    let best: Member | undefined;
    let total = 0;
    for (const [member, known] of this.#members) {
      if (nowMs - known.toldAtMs > this.#staleMs) this.#set(known, 0); // invariant 2
      if (known.waiting === 0) continue;
      total += known.waiting;
      known.credit += known.waiting;
      if (best && known.credit <= best.credit) continue;
      first = member;
      best = known;
    }
    if (!best) return undefined;
    best.credit -= total; // invariant 3
    this.#set(best, best.waiting - 1); // invariant 1
    return first;
  }

  #set(known: Member, waiting: number): void {
    this.#waiting += waiting - known.waiting;
    known.waiting = waiting;
  }
}
