/**
 * Answers that were asked for, each kept for some seconds and asked for once at a time. Bounded three times, because
 * anybody may show a token: so many answers, so many questions at once, and so many of one address.
 */
import { createHash } from 'node:crypto';
import { ReasonError } from '../runtime/errors.ts';

export const REVIEW_LIMITS = { keptMs: 10_000, kept: 2_000, atOnce: 16, atOnceOfAddress: 4 } as const;

interface Kept<T> {
  readonly answer: Promise<T>;
  readonly untilMs: number;
}

export class ReviewCache<T> {
  readonly #kept = new Map<string, Kept<T>>();
  readonly #running = new Map<string, number>();
  readonly #now: () => number;
  #total = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * @param key of any length; only its hash is kept, because it may be a secret
   * @param from the address that asks
   * @throws ReasonError `too-busy`, and what `ask` throws, which is not kept
   */
  get(key: string, from: string, ask: () => Promise<T>): Promise<T> {
    const hash = createHash('sha256').update(key).digest('base64');
    const known = this.#kept.get(hash);
    if (known && this.#now() < known.untilMs) return known.answer;
    this.#kept.delete(hash);
    const answer = this.#ask(from, ask);
    this.#kept.set(hash, { answer, untilMs: this.#now() + REVIEW_LIMITS.keptMs });
    answer.catch(() => this.#kept.delete(hash));
    // The oldest one: a Map keeps the order in which it was filled.
    if (this.#kept.size > REVIEW_LIMITS.kept) this.#kept.delete(this.#kept.keys().next().value as string);
    return answer;
  }

  async #ask(from: string, ask: () => Promise<T>): Promise<T> {
    const running = this.#running.get(from) ?? 0;
    if (this.#total >= REVIEW_LIMITS.atOnce || running >= REVIEW_LIMITS.atOnceOfAddress)
      throw new ReasonError('too-busy', 'too many tokens are being looked at', { retryAfterSeconds: 1 });
    this.#total += 1;
    this.#running.set(from, running + 1);
    try {
      return await ask();
    } finally {
      this.#total -= 1;
      const left = (this.#running.get(from) ?? 1) - 1;
      if (left === 0) this.#running.delete(from);
      else this.#running.set(from, left);
    }
  }
}
