/** A Prometheus, or what speaks its API: it reads the queries itself. */
import { numberOfValue } from '../../promql/query.ts';
import { createRemotePrometheus } from '../../promql/remote.ts';
import { describeError } from '../../../common/runtime/errors.ts';
import type { SourcePlace } from '../../../common/function/spec.ts';
import type { Reach } from '../reach.ts';
import type { SourceReader, SourceReading, SourceRule } from '../source-rules.ts';

/** One number is asked for: a long answer is a slip in the query. */
const MAX_ANSWER_BYTES = 256 * 1024;

export class PrometheusReader implements SourceReader {
  readonly #rule: SourceRule;
  readonly #reach: Reach;
  readonly #url: string;

  constructor(
    rule: SourceRule,
    { url }: Extract<SourcePlace, { type: 'metrics' | 'prometheus' }>,
    reach: Reach,
  ) {
    this.#rule = rule;
    this.#url = url;
    this.#reach = reach;
  }

  /** One question after the other: a function has one connection to its Prometheus. */
  async read(signal: AbortSignal): Promise<readonly SourceReading[]> {
    const remote = createRemotePrometheus({ url: this.#url, fetch: this.#fetch(signal) });
    const readings: SourceReading[] = [];
    for (const { query } of this.#rule.questions) {
      try {
        const value = numberOfValue(await remote.query(query, Date.now(), signal));
        readings.push(value === undefined ? { value, fault: 'the query has no result' } : { value });
      } catch (error) {
        if (signal.aborted) throw error;
        readings.push({ value: undefined, fault: describeError(error) });
      }
    }
    const [first] = readings;
    if (first && readings.every(({ value }) => value === undefined)) throw new Error(first.fault);
    return readings;
  }

  close(): void {}

  #fetch(signal: AbortSignal): typeof fetch {
    const { of, credentials } = this.#rule;
    return async (url, init) => {
      let text = '';
      let status = 0;
      const ask = {
        url: String(url),
        form: String(init?.body),
        credentials,
        signal,
        maxBytes: MAX_ANSWER_BYTES,
        onStatus: (code: number) => (status = code),
      };
      for await (const piece of this.#reach.text(of.namespace, ask)) text += piece;
      return new Response(text, { status });
    };
  }
}
