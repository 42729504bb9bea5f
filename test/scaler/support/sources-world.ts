/** Sources as the queries' thread asks them, in the test's own thread: rules in, answers out. Loopback is allowed here. */
import type { TestContext } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { FunctionInfo } from '../../../common/function/spec.ts';
import { openSource } from '../../../scaler/sources/open-source.ts';
import { SourcePollers } from '../../../scaler/sources/pollers.ts';
import { Reach } from '../../../scaler/sources/reach.ts';
import type { Credentials, SourceAnswer, SourceReading } from '../../../scaler/sources/source-rules.ts';
import { SourceSeries } from '../../../scaler/sources/source-series.ts';
import { TriggerSources } from '../../../scaler/sources/trigger-sources.ts';
import { waitFor } from '../../helpers/wait.ts';

/** A function of namespace `shop` with one source and triggers that name it. */
export function functionWithSource(source: object, triggers: readonly object[], name = 'fn'): FunctionInfo {
  const all = triggers.map((trigger) => ({ Source: 'src', ...trigger }));
  const scale = {
    ScaleFromZero: true,
    Sources: [{ Name: 'src', IntervalMilliseconds: 1_000, ...source }],
    Triggers: all,
  };
  const { spec, faults } = parseAnnotations({ 'SlimFaas/Scale': JSON.stringify(scale) });
  if (faults.length > 0) throw new Error(faults.map(({ problem }) => problem).join('; '));
  return { id: { namespace: 'shop', name }, spec } as unknown as FunctionInfo;
}

export interface SourcesOptions {
  readonly allow?: readonly string[];
  readonly credentials?: Credentials;
  readonly now?: () => number;
  readonly pollMs?: number;
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

export class SourcesWorld {
  readonly answers: SourceAnswer[] = [];
  readonly pollers: SourcePollers;
  readonly reach: Reach;
  readonly #options: SourcesOptions;

  constructor(t: TestContext, options: SourcesOptions = {}) {
    const { allow = ['127.0.0.0/8'], now = Date.now, pollMs, resolve = async () => ['127.0.0.1'] } = options;
    this.#options = options;
    this.reach = new Reach({ allow, resolve });
    const series = new SourceSeries({ limits: {}, budgetMs: 200, onAtWork: () => {} });
    this.pollers = new SourcePollers({
      open: (rule) => openSource(rule, { reach: this.reach, series, now }),
      onAnswer: (answer) => void this.answers.push(answer),
      now,
      random: () => 1,
      ...(pollMs === undefined ? {} : { pollMs }),
    });
    t.after(() => {
      this.pollers.change([], this.#ids);
      this.reach.close();
    });
  }

  #ids: number[] = [];

  /** Begins to ask. @returns the answers of that source */
  ask(source: object, triggers: readonly object[], name = 'fn'): () => readonly SourceReading[] | undefined {
    const { credentials = {} } = this.#options;
    const fn = functionWithSource(source, triggers, name);
    const sources = new TriggerSources({
      now: Date.now,
      readSecret: () => Promise.reject(new Error('none')),
    });
    const rules = sources.update([fn]).set.map((rule) => ({
      ...rule,
      id: rule.id + this.#ids.length,
      credentials,
    }));
    this.#ids.push(...rules.map(({ id }) => id));
    this.pollers.change(rules, []);
    const [rule] = rules;
    return () => this.answers.findLast(({ id }) => id === rule?.id)?.readings;
  }

  stop(): void {
    this.pollers.change([], this.#ids);
  }

  async first(source: object, ...triggers: readonly object[]): Promise<readonly SourceReading[]> {
    const read = this.ask(source, triggers);
    return waitFor(read, { what: 'the source has answered' });
  }
}
