/**
 * The queries of all functions' triggers over the series that were scraped. Each is compiled once and evaluated at
 * its interval. Each function has a budget of time, and so has each round over all. A function over its budget gets a
 * fault instead of a value, and is tried again after a while.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { PromqlError } from '../promql/error.ts';
import { whyNothing } from '../promql/nothing-matches.ts';
import { METRIC_NAME } from '../promql/labels.ts';
import {
  compileQuery,
  historyMs,
  patternSize,
  queryNumber,
  type Query,
  type Scope,
  type SeriesStore,
} from '../promql/query.ts';
import {
  QUERY_BUDGETS,
  type RuleAnswer,
  type QueryBudgets,
  type QueryRule,
  type RuleAnswers,
} from './query-messages.ts';

export interface QueryRulesOptions {
  readonly store: SeriesStore;
  readonly retentionMs: number;
  /** What budgets are measured by, in milliseconds. */
  readonly clock: () => number;
  readonly budgets?: QueryBudgets;
  /** Metrics that only the leader knows. */
  readonly leaderGauges?: readonly string[];
  /** Why a function's pods could not be scraped as they should. */
  readonly scrapeFaultOf?: (key: string) => string | undefined;
  /** Called with a rule's id before its evaluation, and with 0 after it. */
  readonly onAtWork?: (id: number) => void;
}

export interface ScrapeRound {
  readonly begunMs: number;
  readonly everyMs: number;
  /** The scaler leads, and so said what only a leader knows. */
  readonly isLeader: boolean;
}

interface Entry {
  readonly rule: QueryRule;
  readonly queries: readonly CompiledQuery[];
  evaluatedAtMs: number;
  /** What the last evaluation took. */
  costMs: number;
  /** 0, or how long it is left alone after it was over its budget. */
  pauseMs: number;
}

interface CompiledQuery {
  readonly query: Query | undefined;
  readonly fault: string | undefined;
  /** It looks at metrics that only the leader knows. */
  readonly isLeaders: boolean;
  /** A round that began after it came is under way. */
  isScrapedFor: boolean;
  /** When the first such round began that is over; undefined: none is. */
  sinceMs: number | undefined;
}

/** Instructions of all queries of one function, about 100 bytes each. */
const FUNCTION_PATTERN_INSTRUCTIONS = 20_000;
const RULE_FIRST_PAUSE_MS = 10_000;
const RULE_LONGEST_PAUSE_MS = 300_000;
/** Rounds may be late; beyond so many intervals (and half a minute) the series have a hole. */
const GAP_INTERVALS = 3;
const LEAST_GAP_MS = 30_000;

export class QueryRules {
  readonly #options: QueryRulesOptions;
  readonly #entries = new Map<string, Entry>();
  #isStale = false;
  #round: ScrapeRound | undefined;
  /** Since when rounds have followed each other. */
  #unbrokenSinceMs = Infinity;
  #leadingSinceMs = Infinity;

  constructor(options: QueryRulesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  *texts(): Generator<string> {
    for (const { rule } of this.#entries.values()) yield* rule.queries;
  }

  /** @param gone keys of rules that are no more */
  change(set: readonly QueryRule[], gone: readonly string[]): void {
    for (const key of gone) this.#entries.delete(key);
    for (const rule of set) this.#entries.set(rule.key, this.#compile(rule));
    this.#isStale = set.length + gone.length > 0 || this.#isStale;
    if (!this.#isStale) return;
    this.#isStale = false;
    this.#options.store.setWantedBy(
      [...this.#entries].map(([key, { queries }]) => [
        key,
        queries.flatMap(({ query }) => query?.selectors ?? []),
      ]),
    );
  }

  #compile(rule: QueryRule): Entry {
    const known = this.#entries.get(rule.key);
    let size = 0;
    const queries = rule.queries.map((text): CompiledQuery => {
      const before = known?.queries[known.rule.queries.indexOf(text)];
      const query = before ?? {
        ...this.#compiled(text, rule.scope),
        isScrapedFor: false,
        sinceMs: undefined,
      };
      size += patternSize(query.query?.selectors ?? []);
      const fault = `the function's regular expressions compile to more than ${FUNCTION_PATTERN_INSTRUCTIONS} instructions`;
      return size <= FUNCTION_PATTERN_INSTRUCTIONS ? query : { ...query, query: undefined, fault };
    });
    return { rule, queries, evaluatedAtMs: -Infinity, costMs: 0, pauseMs: 0 };
  }

  roundBegun(): void {
    for (const { queries } of this.#entries.values()) for (const query of queries) query.isScrapedFor = true;
  }

  /** Every target has been asked once since `begunMs`. */
  roundDone(round: ScrapeRound): void {
    const gap = round.begunMs - (this.#round?.begunMs ?? -Infinity);
    const most = Math.max(GAP_INTERVALS * Math.max(round.everyMs, this.#round?.everyMs ?? 0), LEAST_GAP_MS);
    if (gap < 0 || gap > most) this.#unbrokenSinceMs = round.begunMs;
    if (!round.isLeader) this.#leadingSinceMs = Infinity;
    else if (!this.#round?.isLeader) this.#leadingSinceMs = round.begunMs;
    this.#round = round;
    for (const { queries } of this.#entries.values())
      for (const query of queries) if (query.isScrapedFor) query.sinceMs ??= round.begunMs;
  }

  /** Evaluates as many of the due rules as the round's budget allows: those that cost least come first. */
  evaluate(nowMs: number): RuleAnswers[] {
    const { clock, budgets = QUERY_BUDGETS } = this.#options;
    const due = [...this.#entries.values()].filter((entry) => isDue(entry, nowMs));
    due.sort((a, b) => a.costMs - b.costMs || a.evaluatedAtMs - b.evaluatedAtMs);
    const endMs = clock() + budgets.roundMs;
    const answers: RuleAnswers[] = [];
    for (const entry of due) {
      if (clock() >= endMs) break;
      answers.push(this.#evaluateOne(entry, nowMs, budgets.functionMs));
    }
    return answers;
  }

  #evaluateOne(entry: Entry, nowMs: number, budgetMs: number): RuleAnswers {
    const { clock, onAtWork } = this.#options;
    const { key, id } = entry.rule;
    const begunMs = clock();
    const isOverTime = (): boolean => clock() - begunMs > budgetMs;
    onAtWork?.(id);
    const answers = entry.queries.map((query) => this.#answer(query, key, { nowMs, budgetMs, isOverTime }));
    onAtWork?.(0);
    entry.evaluatedAtMs = nowMs;
    entry.costMs = clock() - begunMs;
    entry.pauseMs = entry.costMs > budgetMs ? nextPause(entry.pauseMs) : 0;
    return { key, id, answers };
  }

  #answer(
    compiledQuery: CompiledQuery,
    key: string,
    at: { readonly nowMs: number; readonly budgetMs: number; readonly isOverTime: () => boolean },
  ): RuleAnswer {
    const { query, fault } = compiledQuery;
    if (!query) return { ...faulty(fault ?? 'not compiled', at.nowMs), isMiswritten: true };
    const overBudget = `the function's queries took more than ${at.budgetMs} ms, and are tried again later`;
    if (at.isOverTime()) return faulty(overBudget, at.nowMs);
    const needsMs = historyMs(query, at.nowMs);
    if (needsMs > this.#options.retentionMs)
      return { ...faulty(this.#tooFarBack(needsMs), at.nowMs), isMiswritten: true };
    const missing = this.#whyMissing(key, needsMs, at.nowMs);
    if (missing !== undefined) return faulty(missing, at.nowMs);
    const { store } = this.#options;
    const visit = (): void => {
      if (at.isOverTime()) throw new PromqlError('too-expensive', overBudget);
    };
    try {
      const value = queryNumber(query, store, at.nowMs, { isOverTime: at.isOverTime });
      const isWhole = this.#isWhole(compiledQuery, at.nowMs - needsMs);
      const fault = value === undefined ? whyNothing(query, store, at.nowMs, visit) : undefined;
      return { value, isWhole, fault, atMs: at.nowMs };
    } catch (error) {
      return faulty(at.isOverTime() ? overBudget : describeError(error), at.nowMs);
    }
  }

  #tooFarBack(needsMs: number): string {
    const [needs, kept] = [needsMs, this.#options.retentionMs].map((ms) => Math.round(ms / 1_000));
    return `the query looks back ${needs} s, and samples are kept for ${kept} s (--query-retention)`;
  }

  /** Data that is not there and will not come by itself. */
  #whyMissing(key: string, needsMs: number, nowMs: number): string | undefined {
    const { store, scrapeFaultOf } = this.#options;
    const { refusedAtMs, completeSinceMs } = store.gapsOf(key);
    const recentMs = nowMs - Math.max(needsMs, GAP_INTERVALS * (this.#round?.everyMs ?? 0));
    if (refusedAtMs > recentMs) return 'the queries want more series than there is room for';
    if (completeSinceMs > nowMs - needsMs) return 'the queries want more samples than there is room for';
    return scrapeFaultOf?.(key);
  }

  /** Whether everything since `fromMs` was scraped, give or take one scrape. */
  #isWhole({ sinceMs = Infinity, isLeaders }: CompiledQuery, fromMs: number): boolean {
    const everyMs = this.#round?.everyMs ?? 0;
    const ledMs = isLeaders ? this.#leadingSinceMs : -Infinity;
    return Math.max(sinceMs, this.#unbrokenSinceMs, ledMs) <= fromMs + everyMs;
  }

  #compiled(text: string, scope: Scope): Pick<CompiledQuery, 'query' | 'fault' | 'isLeaders'> {
    try {
      const query = compileQuery(text, scope);
      const names = query.selectors.map((all) => all.filter(({ label }) => label === METRIC_NAME));
      const { leaderGauges = [] } = this.#options;
      const isLeaders = leaderGauges.some((gauge) =>
        names.some((all) => all.every(({ test }) => test(gauge))),
      );
      return { query, fault: undefined, isLeaders };
    } catch (error) {
      // A PromqlError tells its cause itself.
      const fault = error instanceof PromqlError ? error.message : describeError(error);
      return { query: undefined, fault, isLeaders: false };
    }
  }
}

function isDue({ rule, evaluatedAtMs, pauseMs }: Entry, nowMs: number): boolean {
  // A clock that went back makes everything due.
  return nowMs < evaluatedAtMs || nowMs - evaluatedAtMs >= Math.max(rule.intervalMs, pauseMs);
}

function nextPause(pauseMs: number): number {
  return Math.min(RULE_LONGEST_PAUSE_MS, Math.max(RULE_FIRST_PAUSE_MS, pauseMs * 2));
}

function faulty(fault: string, atMs: number): RuleAnswer {
  return { value: undefined, isWhole: false, fault, atMs };
}
