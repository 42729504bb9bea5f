/**
 * Sources of all functions' triggers, as the main thread sees them: which there are, with which credentials, and what was
 * answered last. The queries' thread asks them (pollers.ts). Only a leader has sources, so nobody is asked twice.
 */
import { functionKey } from '../../common/bus/subjects.ts';
import { expandQuery } from '../../common/function/query-names.ts';
import type { FunctionInfo, ScaleTrigger, SourceSpec } from '../../common/function/spec.ts';
import type { TriggerResult } from '../sizing/trigger-answers.ts';
import { SourceSecrets, type ReadSecret } from './source-secrets.ts';
import {
  questionKey,
  type Credentials,
  type SourceAnswer,
  type SourceReading,
  type SourceRule,
} from './source-rules.ts';

export interface TriggerSourcesOptions {
  readonly now: () => number;
  readonly readSecret: ReadSecret;
}

export interface SourceChange {
  readonly set: readonly SourceRule[];
  /** Ids. */
  readonly gone: readonly number[];
}

/** Whether a source of a function answered when it was last asked. */
export interface SourceHealth {
  readonly namespace: string;
  readonly function: string;
  readonly source: string;
  readonly isUp: boolean;
}

interface Entry {
  readonly fn: FunctionInfo;
  readonly source: SourceSpec;
  /** As the questions of its rule. */
  readonly triggers: readonly ScaleTrigger[];
  /** What the thread asks; undefined: nothing. */
  rule: SourceRule | undefined;
  readonly credentials: Credentials | undefined;
  /** Why there is no rule. */
  fault: string | undefined;
  answers: ReadonlyMap<string, SourceReading>;
  answeredAtMs: number;
  isUp: boolean;
  blockedUntilMs: number;
}

/** An answer may be that many intervals old, and what a slow source needs besides. */
const FRESH_INTERVALS = 3;
const SLOW_MS = 10_000;
const BLOCKED_MS = 600_000;
const BLOCKED = 'its queries took the evaluation down (it hung, or ran out of memory), and are left out';
/** Rules of sources are told from those of queries, which count from 1. */
const FIRST_ID = 1_000_000_000;

export class TriggerSources {
  readonly #options: TriggerSourcesOptions;
  readonly #secrets: SourceSecrets;
  readonly #entries = new Map<string, Entry>();
  readonly #byId = new Map<number, Entry>();
  readonly #polls = new Map<string, number>();
  #lastId = FIRST_ID;

  constructor(options: TriggerSourcesOptions) {
    this.#options = options;
    this.#secrets = new SourceSecrets(options.readSecret, options.now);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Polls by `type outcome`. */
  get polls(): ReadonlyMap<string, number> {
    return this.#polls;
  }

  *health(): Generator<SourceHealth> {
    for (const { fn, source, isUp } of this.#entries.values())
      yield { namespace: fn.id.namespace, function: fn.id.name, source: source.name, isUp };
  }

  /**
   * Once per tick: what is asked from now on, and with what the Secrets now say.
   * @param functions all whose triggers have sources; none where this process does not lead
   */
  update(functions: readonly FunctionInfo[]): SourceChange {
    const change: { set: SourceRule[]; gone: number[] } = { set: [], gone: [] };
    const gone = new Set(this.#entries.keys());
    for (const fn of functions) {
      for (const source of fn.spec.scale?.sources ?? []) {
        const key = entryKey(fn, source.name);
        gone.delete(key);
        const entry = this.#entryOf(key, fn, source);
        const before = this.#entries.get(key);
        if (entry === before) continue;
        this.#entries.set(key, entry);
        this.#end(before, change.gone);
        if (!entry.rule) continue;
        this.#byId.set(entry.rule.id, entry);
        change.set.push(entry.rule);
      }
    }
    for (const key of gone) {
      this.#end(this.#entries.get(key), change.gone);
      this.#entries.delete(key);
    }
    this.#secrets.keep([...this.#entries.values()].map(({ fn, source }) => [fn.id.namespace, source.secret]));
    return change;
  }

  #end(entry: Entry | undefined, gone: number[]): void {
    if (!entry?.rule) return;
    this.#byId.delete(entry.rule.id);
    gone.push(entry.rule.id);
  }

  /** The same entry as long as nothing about it has changed. */
  #entryOf(key: string, fn: FunctionInfo, source: SourceSpec): Entry {
    const known = this.#entries.get(key);
    const secret = this.#secrets.of(fn.id.namespace, source.secret);
    const nowMs = this.#options.now();
    const isSame = known?.fn.spec === fn.spec && known.credentials === secret.credentials;
    const isBlocked = known !== undefined && nowMs < known.blockedUntilMs;
    if (isSame && (isBlocked || (known.rule !== undefined) === (secret.credentials !== undefined))) {
      if (!isBlocked) known.fault = secret.fault;
      return known;
    }
    const triggers = (fn.spec.scale?.triggers ?? []).filter((trigger) => trigger.source === source.name);
    const { credentials } = secret;
    return {
      fn,
      source,
      triggers,
      credentials,
      rule: credentials && this.#ruleOf(fn, source, { triggers, credentials }),
      fault: secret.fault,
      answers: known?.answers ?? new Map<string, SourceReading>(),
      answeredAtMs: known?.answeredAtMs ?? -Infinity,
      isUp: known?.isUp ?? false,
      blockedUntilMs: -Infinity,
    };
  }

  #ruleOf(
    { id }: FunctionInfo,
    source: SourceSpec,
    { triggers, credentials }: { triggers: readonly ScaleTrigger[]; credentials: Credentials },
  ): SourceRule {
    this.#lastId += 1;
    const questions = triggers.map(({ query, metricName, hasOwnTarget = false }) => ({
      query: expandQuery(query, id),
      metricName,
      hasOwnTarget,
    }));
    return { id: this.#lastId, of: id, source, questions, credentials };
  }

  /** What a new thread must know. */
  rulesInUse(): readonly SourceRule[] {
    return [...this.#byId.values()].flatMap(({ rule }) => (rule ? [rule] : []));
  }

  /** @param culprit the id of the rule that was at work when the thread was lost; others are nobody's */
  block(culprit: number): void {
    const entry = this.#byId.get(culprit);
    if (!entry) return;
    this.#byId.delete(culprit);
    entry.rule = undefined;
    entry.blockedUntilMs = this.#options.now() + BLOCKED_MS;
    entry.fault = BLOCKED;
  }

  /** @returns keys of the functions for which an answer has changed */
  take(all: readonly SourceAnswer[]): string[] {
    const changed: string[] = [];
    for (const { id, atMs, readings } of all) {
      const entry = this.#byId.get(id);
      if (!entry) continue;
      const before = entry.answers;
      const keyed = entry.triggers.map(
        (trigger, i) => [questionKey(trigger), readings[i] ?? NOTHING] as const,
      );
      entry.answers = new Map(keyed);
      entry.answeredAtMs = atMs;
      entry.isUp = readings.some(({ value }) => value !== undefined);
      const outcome = `${entry.source.type} ${entry.isUp ? 'answered' : 'failed'}`;
      this.#polls.set(outcome, (this.#polls.get(outcome) ?? 0) + 1);
      if (keyed.some(([key, reading]) => differs(before.get(key), reading)))
        changed.push(functionKey(entry.fn.id));
    }
    return changed;
  }

  resultOf(fn: FunctionInfo, trigger: ScaleTrigger, nowMs: number): TriggerResult {
    const entry = this.#entries.get(entryKey(fn, trigger.source ?? ''));
    if (!entry) return { kind: 'no-data' };
    if (entry.fault !== undefined) return { kind: 'fault', reason: entry.fault };
    const reading = entry.answers.get(questionKey(trigger));
    const keptMs = entry.source.intervalMs * FRESH_INTERVALS + SLOW_MS;
    if (!reading || Math.abs(nowMs - entry.answeredAtMs) > keptMs) return { kind: 'no-data' };
    const { value, fault, ...rest } = reading;
    if (value !== undefined) return { kind: 'value', value, ...rest };
    return fault === undefined ? { kind: 'no-data' } : { kind: 'fault', reason: fault };
  }
}

const NOTHING: SourceReading = { value: undefined };

function differs(before: SourceReading | undefined, after: SourceReading): boolean {
  return before?.value !== after.value || before?.isActive !== after.isActive;
}

function entryKey({ id }: FunctionInfo, source: string): string {
  return `${functionKey(id)} ${source}`;
}
