/**
 * Fills the series that queries look at, while any query is in use: scrapes the function pods annotated
 * `prometheus.io/scrape: "true"`, the sidecars where a query asks for their metrics, and adds what this process
 * knows of every function. Bounded: so many requests at once, so many bytes an answer, so many seconds each.
 */
import type { Labels } from './promql/labels.ts';
import { labelsOf } from './promql/labels.ts';
import type { SeriesStore } from './promql/series.ts';
import { parseTextFormat } from './promql/text-format.ts';

export interface ScrapeTarget {
  /** `http://10.0.0.7:8080/metrics`; the identity of the target too. */
  readonly url: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What a scrape needs of a store. */
export type ScrapedInto = Pick<SeriesStore, 'wantsName' | 'scrape' | 'forget' | 'sweep'>;

export interface ScraperOptions {
  readonly store: ScrapedInto;
  readonly now: () => number;
  readonly fetch?: typeof fetch;
}

/** What this process says itself: a metric's name, labels and value. */
export interface OwnSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const AT_ONCE = 20;
const TIMEOUT_MS = 2_000;
const MAX_BYTES = 8 * 1024 * 1024;
const SWEEP_MS = 60_000;
const OWN_TARGET = 'scaler';

export class Scraper {
  readonly #options: ScraperOptions;
  #known = new Set<string>();
  #sweptAtMs = -Infinity;
  #round: Promise<void> | undefined;

  constructor(options: ScraperOptions) {
    this.#options = options;
  }

  /** One round at a time: a caller during a round gets that round. */
  scrape(targets: readonly ScrapeTarget[], own: Iterable<OwnSample>): Promise<void> {
    this.#round ??= this.#run(targets, own).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** A round that begins after this call: one under way may not know yet what is wanted. */
  async scrapeAnew(targets: () => readonly ScrapeTarget[], own: () => Iterable<OwnSample>): Promise<void> {
    await this.#round;
    await this.scrape(targets(), own());
  }

  async #run(targets: readonly ScrapeTarget[], own: Iterable<OwnSample>): Promise<void> {
    const { store, now } = this.#options;
    const samples = [...own].filter(({ name }) => store.wantsName(name));
    store.scrape(
      OWN_TARGET,
      samples.map(({ name, labels, value }) => ({ labels: labelsOf({ __name__: name, ...labels }), value })),
      now(),
    );
    const queue = [...targets];
    const worker = async () => {
      for (let target = queue.shift(); target; target = queue.shift()) await this.#one(target);
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, queue.length) }, worker));
    this.#forgetGone(new Set(targets.map(({ url }) => url)));
    if (now() - this.#sweptAtMs < SWEEP_MS) return;
    this.#sweptAtMs = now();
    store.sweep(now());
  }

  async #one({ url, labels }: ScrapeTarget): Promise<void> {
    const { store, now, fetch: get = fetch } = this.#options;
    const targetLabels: Labels = labelsOf({ ...labels, instance: new URL(url).host });
    try {
      const response = await get(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = await readBounded(response);
      if (!response.ok) throw new Error(`status ${response.status}`);
      const wantsName = (name: string) => store.wantsName(name);
      store.scrape(url, parseTextFormat(text, { targetLabels, wantsName }).samples, now());
    } catch {
      // No sample is what a query sees of it: then a trigger has no data, and nothing goes down.
      store.forget(url, now());
    }
  }

  #forgetGone(urls: Set<string>): void {
    const { store, now } = this.#options;
    for (const url of this.#known) if (!urls.has(url)) store.forget(url, now());
    this.#known = urls;
  }
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, size] = ['', 0];
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}
