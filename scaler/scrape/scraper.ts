/**
 * One coarse clock for every deadline of a relay. Instead of a timer per request it sweeps over what runs, 40 times
 * per second while anything does. Requests at once and bytes per round are bounded, in all and for each function. So
 * a function whose pods answer slowly or at length costs the others nothing.
 *
 * Room `scaler/scrape`: Reads the metrics of pods.
 * Comes in: targets.
 * Goes out: samples.
 */
import type { Intake, SeriesStore } from '../promql/store/series.ts';
import { ScrapeError, scrapeOne, type ScrapeRefusal } from './scrape-one.ts';
import type { ScrapeTarget } from './scrape-targets.ts';

/** What a scrape needs of a store. */
export type ScrapedInto = Pick<SeriesStore, 'wantsName' | 'begin' | 'forget' | 'sweep'>;

export interface ScraperOptions {
  readonly store: ScrapedInto;
  readonly now: () => number;
  readonly fetch?: typeof fetch;
}

/** Why a function's pods could not be scraped as they should, and when. */
export interface ScrapeProblem {
  readonly text: string;
  readonly atMs: number;
}

export const ROUND_LIMITS = {
  atOnce: 20,
  atOnceOfOwner: 5,
  bytesOfOwner: 32 * 1024 * 1024,
  bytes: 128 * 1024 * 1024,
} as const;

/** A pod that lets us wait is asked again after two rounds, then four, up to so many. */
const MAX_SKIPPED = 32;
const TARGET_SWEEP_MS = 60_000;
/** Beyond a bound for as long as it lasts; a pod that does not answer is what pods do. */
const FAULTS: ReadonlySet<ScrapeRefusal> = new Set(['bytes', 'samples', 'redirect', 'budget']);

interface Slow {
  skip: number;
  left: number;
}

export class Scraper {
  readonly #options: ScraperOptions;
  readonly #slow = new Map<string, Slow>();
  readonly #faults = new Map<string, ScrapeProblem>();
  readonly #refused = new Map<ScrapeRefusal, number>();
  #known = new Set<string>();
  #sweptAtMs = -Infinity;
  #round: Promise<void> | undefined;

  constructor(options: ScraperOptions) {
    this.#options = options;
  }

  /** Scrapes that failed since the start, by reason. */
  get refused(): ReadonlyMap<ScrapeRefusal, number> {
    return this.#refused;
  }

  /** A function's, as long as its pods were scraped in vain in the last round that asked them. */
  faultOf(owner: string): ScrapeProblem | undefined {
    return this.#faults.get(owner);
  }

  /** One round at a time: a caller during a round gets that round. */
  scrape(targets: readonly ScrapeTarget[]): Promise<void> {
    this.#round ??= this.#run(targets).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #run(targets: readonly ScrapeTarget[]): Promise<void> {
    const { store, now } = this.#options;
    const due = targets.filter(({ url }) => this.#isDue(url));
    await new Round(due, (target, onBytes) => this.#one(target, onBytes)).run();
    this.#forgetGone(targets);
    if (now() - this.#sweptAtMs < TARGET_SWEEP_MS) return;
    this.#sweptAtMs = now();
    store.sweep(now());
  }

  #isDue(url: string): boolean {
    const slow = this.#slow.get(url);
    if (!slow || slow.left === 0) return true;
    slow.left -= 1;
    return false;
  }

  async #one(target: ScrapeTarget, onBytes: (bytes: number) => void): Promise<void> {
    const { store, now, fetch: get = fetch } = this.#options;
    const { url, owner } = target;
    const intake: Intake = store.begin(url, now());
    try {
      const wantsName = (name: string) => store.wantsName(name);
      await scrapeOne(target, { fetch: get, wantsName, intake, onBytes });
      this.#slow.delete(url);
      if (this.#faults.get(owner)?.text.startsWith(`pod ${target.labels.pod}:`)) this.#faults.delete(owner);
    } catch (error) {
      // No sample is what a query sees of it: then a trigger has no data, and nothing goes down.
      intake.fail();
      if (error instanceof ScrapeError) this.#failed(target, error);
    }
  }

  #failed({ url, owner, labels }: ScrapeTarget, { reason, message }: ScrapeError): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
    if (FAULTS.has(reason)) {
      this.#faults.set(owner, {
        text: `pod ${labels.pod}: scrape refused: ${message}`,
        atMs: this.#options.now(),
      });
    }
    if (reason !== 'timeout') return;
    const skip = Math.min(MAX_SKIPPED, (this.#slow.get(url)?.skip ?? 1) * 2);
    this.#slow.set(url, { skip, left: skip - 1 });
  }

  #forgetGone(targets: readonly ScrapeTarget[]): void {
    const { store, now } = this.#options;
    const urls = new Set(targets.map(({ url }) => url));
    const owners = new Set(targets.map(({ owner }) => owner));
    for (const url of this.#known) if (!urls.has(url)) store.forget(url, now());
    for (const url of this.#slow.keys()) if (!urls.has(url)) this.#slow.delete(url);
    for (const owner of this.#faults.keys()) if (!owners.has(owner)) this.#faults.delete(owner);
    this.#known = urls;
  }
}

type ScrapeTargetOnce = (target: ScrapeTarget, onBytes: (bytes: number) => void) => Promise<void>;

/** One round: targets in turn, a function's few at a time, and its bytes counted. */
class Round {
  readonly #one: ScrapeTargetOnce;
  readonly #waiting: Map<string, ScrapeTarget[]>;
  readonly #running = new Map<string, number>();
  readonly #bytes = new Map<string, number>();
  #total = 0;

  constructor(targets: readonly ScrapeTarget[], one: ScrapeTargetOnce) {
    this.#one = one;
    this.#waiting = Map.groupBy(targets, ({ owner }) => owner);
  }

  async run(): Promise<void> {
    const under = new Set<Promise<void>>();
    for (;;) {
      let next: ScrapeTarget | undefined;
      while (under.size < ROUND_LIMITS.atOnce && (next = this.#next())) {
        const target = next;
        const scrape: Promise<void> = this.#one(target, (bytes) => this.#spend(target.owner, bytes)).finally(
          () => {
            under.delete(scrape);
            this.#running.set(target.owner, (this.#running.get(target.owner) ?? 1) - 1);
          },
        );
        under.add(scrape);
      }
      if (under.size === 0) return;
      await Promise.race(under);
    }
  }

  /** The target of the function that waits longest, among those that may have one more. */
  #next(): ScrapeTarget | undefined {
    for (const [owner, targets] of this.#waiting) {
      const running = this.#running.get(owner) ?? 0;
      if (running >= ROUND_LIMITS.atOnceOfOwner) continue;
      const target = targets.shift();
      this.#waiting.delete(owner);
      if (!target) continue;
      this.#waiting.set(owner, targets); // to the end
      this.#running.set(owner, running + 1);
      return target;
    }
    return undefined;
  }

  #spend(owner: string, bytes: number): void {
    const spent = (this.#bytes.get(owner) ?? 0) + bytes;
    this.#bytes.set(owner, spent);
    this.#total += bytes;
    const { bytesOfOwner, bytes: most } = ROUND_LIMITS;
    if (spent > bytesOfOwner)
      throw new ScrapeError(
        'budget',
        `the function's pods sent more than ${bytesOfOwner} bytes in one round`,
      );
    // At the bound of all, those that have sent little still may.
    if (this.#total > most && spent > most / 100)
      throw new ScrapeError('budget', `all pods sent more than ${most} bytes in one round`);
  }
}
