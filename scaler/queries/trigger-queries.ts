/**
 * The PromQL queries of all functions' triggers, as the main thread sees them: which there are, and what the queries'
 * thread said of each last. Asking for a value never waits, and an old answer is no data.
 */
import { expandQuery } from '../../common/function/query-names.ts';
import type { FunctionInfo, ScaleTrigger } from '../../common/function/spec.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { TriggerResult } from '../sizing/trigger-answers.ts';
import type { QueryValues } from '../sizing/trigger-answers.ts';
import type { RuleAnswer, QueryRule, RuleAnswers } from './query-messages.ts';

export interface TriggerQueriesOptions {
  readonly now: () => number;
  /** Queries are Prometheus's (`--prometheus-url`), which may know more than our pods; default: they are not. */
  readonly isRemote?: boolean;
}

interface Entry {
  readonly fn: FunctionInfo;
  readonly rule: QueryRule;
  /** The rule's queries as they are written, in the same order. */
  readonly texts: readonly string[];
  answers: ReadonlyMap<string, RuleAnswer>;
  /** Left out until then, because it was at work when the thread was lost. */
  blockedUntilMs: number;
}

/** An answer may be that many intervals old. */
const FRESH_INTERVALS = 3;
/** How long a function whose query took the thread down is left out. */
const BLOCKED_MS = 600_000;
const BLOCKED =
  'the function’s queries took the evaluation down (it hung, or ran out of memory), and are left out';

export interface RuleChange {
  readonly set: readonly QueryRule[];
  readonly gone: readonly string[];
}

export class TriggerQueries implements QueryValues {
  readonly #options: TriggerQueriesOptions;
  readonly #entries = new Map<string, Entry>();
  #lastId = 0;

  constructor(options: TriggerQueriesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** All functions whose triggers have queries. @returns what is new since the last call */
  setFunctions(functions: readonly FunctionInfo[]): RuleChange {
    const set: QueryRule[] = [];
    const gone = new Set(this.#entries.keys());
    for (const fn of functions) {
      const key = functionKey(fn.id);
      gone.delete(key);
      const known = this.#entries.get(key);
      if (known?.fn.spec === fn.spec) continue;
      const texts = queriesOf(fn);
      const rule = this.#ruleOf(fn, key, texts);
      const answers = known?.answers ?? new Map<string, RuleAnswer>();
      this.#entries.set(key, { fn, rule, texts, answers, blockedUntilMs: -Infinity });
      set.push(rule);
    }
    for (const key of gone) this.#entries.delete(key);
    return { set, gone: [...gone] };
  }

  #ruleOf({ id, spec }: FunctionInfo, key: string, texts: readonly string[]): QueryRule {
    const { scrapeIntervalMs = 0 } = spec.scale ?? {};
    const queries = texts.map((text) => expandQuery(text, id));
    this.#lastId += 1;
    const scope = { namespace: id.namespace, function: id.name };
    return { key, id: this.#lastId, scope, queries, intervalMs: scrapeIntervalMs };
  }

  /** @param culprit the id of the rule that was at work when the thread was lost; others are nobody's */
  block(culprit: number): void {
    for (const entry of this.#entries.values())
      if (entry.rule.id === culprit) entry.blockedUntilMs = this.#options.now() + BLOCKED_MS;
  }

  /** What a new thread must know. */
  rulesInUse(): readonly QueryRule[] {
    const nowMs = this.#options.now();
    return [...this.#entries.values()].filter((entry) => !isBlocked(entry, nowMs)).map(({ rule }) => rule);
  }

  /** Rules that were left out long enough. */
  unblocked(): readonly QueryRule[] {
    const nowMs = this.#options.now();
    const free = [...this.#entries.values()].filter(
      (entry) => entry.blockedUntilMs !== -Infinity && !isBlocked(entry, nowMs),
    );
    for (const entry of free) entry.blockedUntilMs = -Infinity;
    return free.map(({ rule }) => rule);
  }

  /** @returns keys of the functions for which a value has changed */
  take(all: readonly RuleAnswers[]): string[] {
    const changed: string[] = [];
    for (const { key, id, answers } of all) {
      const entry = this.#entries.get(key);
      if (entry?.rule.id !== id) continue;
      const before = entry.answers;
      entry.answers = new Map(entry.texts.map((text, i) => [text, answers[i] as RuleAnswer]));
      if (entry.texts.some((text, i) => before.get(text)?.value !== answers[i]?.value)) changed.push(key);
    }
    return changed;
  }

  asksOwnPods({ query }: ScaleTrigger): boolean {
    return this.#options.isRemote !== true && !NAMES_FUNCTIONS.test(query);
  }

  resultOf(fn: FunctionInfo, { query }: ScaleTrigger, nowMs: number): TriggerResult {
    const entry = this.#entries.get(functionKey(fn.id));
    if (entry && isBlocked(entry, nowMs)) return { kind: 'fault', reason: BLOCKED };
    const answer = entry?.answers.get(query);
    if (!entry || !answer) return { kind: 'no-data' };
    const { value, isWhole, fault, atMs } = answer;
    if (value !== undefined && nowMs - atMs <= entry.rule.intervalMs * FRESH_INTERVALS)
      return { kind: 'value', value, isWhole };
    return fault === undefined ? { kind: 'no-data' } : { kind: 'fault', reason: fault };
  }

  faultOf(fn: FunctionInfo, { query }: ScaleTrigger): string | undefined {
    const answer = this.#entries.get(functionKey(fn.id))?.answers.get(query);
    return answer?.isMiswritten === true ? answer.fault : undefined;
  }
}

/** A selector that names the label sees others than the function itself (promql/scope.ts). */
const NAMES_FUNCTIONS = /\bfunction\s*[=!]/;

function queriesOf({ spec }: FunctionInfo): string[] {
  const { triggers = [] } = spec.scale ?? {};
  const own = triggers.filter(({ query, source }) => query !== '' && source === undefined);
  return [...new Set(own.map(({ query }) => query))];
}

function isBlocked({ blockedUntilMs }: Entry, nowMs: number): boolean {
  return nowMs < blockedUntilMs;
}
