/**
 * Who holds how much of what NATS keeps jobs in, as far as this proxy knows: one account for each function, with an entry
 * for each job that it has accepted. An account goes with its last entry.
 *
 * A job that has ended leaves its account, unless it has a large body. The body of a dead job stays for its replay. So such
 * an entry stays until the body is gone.
 */
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';
import type { StoreKind } from '../../../common/queue/room.ts';

/** Entries of all functions, 100 bytes each. Beyond it the oldest of the function with the most goes uncounted. */
const ENTRIES_MAX = 100_000;

export interface AccountedJob {
  readonly kind: StoreKind;
  readonly bytes: number;
  /** The name of its large body. */
  readonly body: string | undefined;
  /** The job is in the queue no more, and its body may be there. */
  hasEnded: boolean;
}

export interface StoreAccount {
  readonly id: FunctionId;
  readonly held: Record<StoreKind, number>;
  /** By the job's sequence, the one looked at longest ago first. */
  readonly jobs: Map<number, AccountedJob>;
  /** The highest sequence that was entered. */
  last: number;
  /** Jobs on their way: they keep the account, also those without a body. */
  coming: number;
  lookedAt: number;
  /** When its bodies were asked about last. */
  bodiesAt: number;
}

export class StoreAccounts {
  readonly #accounts = new Map<string, StoreAccount>();
  #entries = 0;

  get entries(): number {
    return this.#entries;
  }

  get all(): readonly StoreAccount[] {
    return [...this.#accounts.values()];
  }

  heldBy(id: FunctionId, kind: StoreKind): number {
    return this.#accounts.get(functionKey(id))?.held[kind] ?? 0;
  }

  of(id: FunctionId): StoreAccount {
    const key = functionKey(id);
    let account = this.#accounts.get(key);
    if (!account) {
      const held = { inline: 0, stored: 0 };
      const never = -Infinity;
      account = { id, held, jobs: new Map(), last: 0, coming: 0, lookedAt: never, bodiesAt: never };
      this.#accounts.set(key, account);
    }
    return account;
  }

  enter(account: StoreAccount, sequence: number, entry: Omit<AccountedJob, 'hasEnded'>): void {
    // Another stream counts from 1 again: what was entered under this number is over.
    const isReused = account.jobs.has(sequence);
    this.strike(account, sequence);
    account.last = isReused ? sequence : Math.max(account.last, sequence);
    account.jobs.set(sequence, { ...entry, hasEnded: false });
    this.#entries += 1;
    if (this.#entries > ENTRIES_MAX) this.#strikeOldest();
  }

  /** Strikes an entry of the function with the most, so that nobody else loses count of what it holds. */
  #strikeOldest(): void {
    let most: StoreAccount | undefined;
    for (const each of this.#accounts.values()) if (each.jobs.size > (most?.jobs.size ?? 0)) most = each;
    const [oldest] = most?.jobs.keys() ?? [];
    if (most && oldest !== undefined) this.strike(most, oldest);
  }

  /** The job is in the queue no more. */
  end(account: StoreAccount, sequence: number): void {
    const entry = account.jobs.get(sequence);
    if (entry?.body === undefined) this.strike(account, sequence);
    else entry.hasEnded = true;
  }

  strike(account: StoreAccount, sequence: number): void {
    const entry = account.jobs.get(sequence);
    if (!entry) return;
    account.jobs.delete(sequence);
    this.#entries -= 1;
    this.give(account, entry.kind, entry.bytes);
  }

  /** So much is held no more. */
  give(account: StoreAccount, kind: StoreKind, bytes: number): void {
    account.held[kind] -= bytes;
    const { jobs, coming, held } = account;
    if (jobs.size === 0 && coming === 0 && held.inline === 0 && held.stored === 0)
      this.#accounts.delete(functionKey(account.id));
  }
}
