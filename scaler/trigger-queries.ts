/**
 * The PromQL queries of all triggers: compiled once, evaluated at most once a scrape interval, either here over
 * the series that were scraped or by a Prometheus server. Asking for a value never waits: a server's answer is
 * used when it is there, and an old one is no data.
 */
import { describeError } from '../common/errors.ts';
import type { Log } from '../common/log.ts';
import { compileQuery, numberOfValue, queryNumber, type Query, type SeriesStore } from './promql/query.ts';
import type { RemotePrometheus } from './promql/remote.ts';
import type { TriggerResult } from './decide/trigger-answers.ts';
import type { QueryValues } from './load-advisor.ts';

export interface TriggerQueriesOptions {
  readonly store: SeriesStore;
  /** Given: it answers instead of our own evaluator. */
  readonly remote: RemotePrometheus | undefined;
  readonly now: () => number;
  readonly log: Log;
}

interface Entry {
  /** undefined: it cannot be compiled, or a server does that. */
  readonly query: Query | undefined;
  readonly fault: string | undefined;
  value: number | undefined;
  /** Of the last evaluation, or of the last question to the server. */
  askedAtMs: number;
  answeredAtMs: number;
  isAsking: boolean;
}

/** An answer may be that many intervals old. */
const FRESH_INTERVALS = 3;

export class TriggerQueries implements QueryValues {
  readonly #options: TriggerQueriesOptions;
  #entries = new Map<string, Entry>();

  constructor(options: TriggerQueriesOptions) {
    this.#options = options;
  }

  /** All queries of all functions; what is not among them is forgotten. */
  setTexts(texts: ReadonlySet<string>): void {
    this.#entries = new Map([...texts].map((text) => [text, this.#entries.get(text) ?? this.#compile(text)]));
    const queries = [...this.#entries.values()].map(({ query }) => query).filter((q) => q !== undefined);
    this.#options.store.setWanted(queries.flatMap(({ selectors }) => selectors));
  }

  get texts(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** Also of a query that {@link setTexts} has not heard of yet: faults are told as soon as they are written. */
  faultOf(text: string): string | undefined {
    let entry = this.#entries.get(text);
    if (!entry) this.#entries.set(text, (entry = this.#compile(text)));
    return entry.fault;
  }

  valueOf(text: string, intervalMs: number, nowMs: number): number | undefined {
    const entry = this.#entries.get(text);
    if (!entry) return undefined;
    if (nowMs - entry.askedAtMs >= intervalMs || nowMs < entry.askedAtMs) this.#ask(text, entry, nowMs);
    return nowMs - entry.answeredAtMs <= intervalMs * FRESH_INTERVALS ? entry.value : undefined;
  }

  resultOf(text: string, intervalMs: number, nowMs: number): TriggerResult {
    const reason = this.#entries.get(text)?.fault;
    if (reason !== undefined) return { kind: 'fault', reason };
    const value = this.valueOf(text, intervalMs, nowMs);
    return value === undefined ? { kind: 'no-data' } : { kind: 'value', value };
  }

  #compile(text: string): Entry {
    const blank = { value: undefined, askedAtMs: -Infinity, answeredAtMs: -Infinity, isAsking: false };
    if (this.#options.remote) return { query: undefined, fault: undefined, ...blank };
    try {
      return { query: compileQuery(text), fault: undefined, ...blank };
    } catch (error) {
      return { query: undefined, fault: describeError(error), ...blank };
    }
  }

  #ask(text: string, entry: Entry, nowMs: number): void {
    const { remote, store, log } = this.#options;
    if (remote) return void this.#askRemote(remote, text, entry);
    if (!entry.query) return;
    entry.askedAtMs = entry.answeredAtMs = nowMs;
    try {
      entry.value = queryNumber(entry.query, store, nowMs);
    } catch (error) {
      entry.value = undefined;
      log.warn({ query: text, error: describeError(error) }, 'query failed');
    }
  }

  async #askRemote(remote: RemotePrometheus, text: string, entry: Entry): Promise<void> {
    if (entry.isAsking) return;
    const { now, log } = this.#options;
    entry.isAsking = true;
    entry.askedAtMs = now();
    try {
      entry.value = numberOfValue(await remote.query(text, entry.askedAtMs));
      entry.answeredAtMs = now();
    } catch (error) {
      // The last good answer stands until it is too old.
      log.warn({ query: text, error: describeError(error) }, 'Prometheus did not answer the query');
    } finally {
      entry.isAsking = false;
    }
  }
}
