/**
 * The queries of all functions' triggers, answered by a Prometheus server (`--prometheus-url`). They go there as they
 * are written: whose series they see is the query's own business. A query of many functions is asked once.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { numberOfValue } from '../promql/query.ts';
import type { RemotePrometheus } from '../promql/remote.ts';
import type { RuleAnswer, QueryRule, RuleAnswers } from './query-messages.ts';

export interface RemoteRulesOptions {
  readonly remote: RemotePrometheus;
  readonly now: () => number;
}

interface RemoteQuestion {
  askedAtMs: number;
  isAsking: boolean;
  /** The last good answer, with the fault of the last bad one. */
  answer: RuleAnswer;
}

/** Questions under way; the others wait for the next tick. */
const MAX_REMOTE_QUERIES = 20;

export class RemoteRules {
  readonly #options: RemoteRulesOptions;
  readonly #rules = new Map<string, QueryRule>();
  readonly #questions = new Map<string, RemoteQuestion>();
  readonly #answered = new Set<string>();
  #asking = 0;

  constructor(options: RemoteRulesOptions) {
    this.#options = options;
  }

  change(set: readonly QueryRule[], gone: readonly string[]): void {
    for (const key of gone) this.#rules.delete(key);
    for (const rule of set) this.#rules.set(rule.key, rule);
    const texts = new Set([...this.#rules.values()].flatMap(({ queries }) => queries));
    for (const text of this.#questions.keys()) if (!texts.has(text)) this.#questions.delete(text);
    for (const text of texts) if (!this.#questions.has(text)) this.#questions.set(text, unasked());
  }

  /** Asks what is due. @returns of the rules that have had an answer since the last call */
  evaluate(nowMs: number): RuleAnswers[] {
    const answers: RuleAnswers[] = [];
    for (const { key, id, queries, intervalMs } of this.#rules.values()) {
      for (const text of queries) this.#ask(text, intervalMs, nowMs);
      if (!queries.some((text) => this.#answered.has(text))) continue;
      answers.push({
        key,
        id,
        answers: queries.map((text) => (this.#questions.get(text) ?? unasked()).answer),
      });
    }
    this.#answered.clear();
    return answers;
  }

  #ask(text: string, intervalMs: number, nowMs: number): void {
    const question = this.#questions.get(text);
    if (!question || question.isAsking || this.#asking >= MAX_REMOTE_QUERIES) return;
    if (nowMs >= question.askedAtMs && nowMs - question.askedAtMs < intervalMs) return;
    void this.#send(text, question);
  }

  async #send(text: string, question: RemoteQuestion): Promise<void> {
    const { remote, now } = this.#options;
    question.isAsking = true;
    question.askedAtMs = now();
    this.#asking += 1;
    try {
      const value = numberOfValue(await remote.query(text, question.askedAtMs));
      question.answer = { value, isWhole: true, fault: undefined, atMs: now() };
    } catch (error) {
      // The last good answer stands until it is too old.
      question.answer = { ...question.answer, fault: describeError(error) };
    } finally {
      question.isAsking = false;
      this.#asking -= 1;
      this.#answered.add(text);
    }
  }
}

function unasked(): RemoteQuestion {
  const answer = { value: undefined, isWhole: false, fault: undefined, atMs: -Infinity };
  return { askedAtMs: -Infinity, isAsking: false, answer };
}
