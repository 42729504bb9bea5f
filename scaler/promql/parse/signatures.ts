/** Which functions there are, what they take and what they give; the rest of PromQL's are "not supported". */
import type { ValueType } from './ast.ts';

export interface Signature {
  readonly args: readonly ValueType[];
  /** How many of the last arguments may be left out. */
  readonly optional: number;
  /** The last argument may come any number of times. */
  readonly isVariadic: boolean;
  readonly returns: ValueType;
}

function signature(args: readonly ValueType[], extra: Partial<Signature> = {}): Signature {
  return { args, optional: 0, isVariadic: false, returns: 'vector', ...extra };
}

function all(names: string, value: Signature): [string, Signature][] {
  return names.split(' ').map((name) => [name, value]);
}

const SIGNATURES: ReadonlyMap<string, Signature> = new Map([
  ...all('rate irate increase delta idelta changes resets deriv absent_over_time', signature(['matrix'])),
  ...all('avg_over_time min_over_time max_over_time sum_over_time count_over_time', signature(['matrix'])),
  ...all('first_over_time last_over_time present_over_time', signature(['matrix'])),
  ...all('stddev_over_time stdvar_over_time mad_over_time', signature(['matrix'])),
  ...all('ts_of_first_over_time ts_of_last_over_time', signature(['matrix'])),
  ...all('ts_of_min_over_time ts_of_max_over_time', signature(['matrix'])),
  ...all('double_exponential_smoothing', signature(['matrix', 'scalar', 'scalar'])),
  ...all('quantile_over_time', signature(['scalar', 'matrix'])),
  ...all('predict_linear', signature(['matrix', 'scalar'])),
  ...all('abs ceil floor exp ln log2 log10 sqrt sgn', signature(['vector'])),
  ...all('sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh deg rad', signature(['vector'])),
  ...all('absent timestamp sort sort_desc', signature(['vector'])),
  ...all('round', signature(['vector', 'scalar'], { optional: 1 })),
  ...all('clamp', signature(['vector', 'scalar', 'scalar'])),
  ...all('clamp_min clamp_max', signature(['vector', 'scalar'])),
  ...all(
    'sort_by_label sort_by_label_desc',
    signature(['vector', 'string'], { optional: 1, isVariadic: true }),
  ),
  ...all('histogram_quantile', signature(['scalar', 'vector'])),
  ...all('histogram_fraction', signature(['scalar', 'scalar', 'vector'])),
  ...all('histogram_avg histogram_count histogram_sum', signature(['vector'])),
  ...all('histogram_stddev histogram_stdvar', signature(['vector'])),
  ...all('label_replace', signature(['vector', 'string', 'string', 'string', 'string'])),
  ...all(
    'label_join',
    signature(['vector', 'string', 'string', 'string'], { optional: 1, isVariadic: true }),
  ),
  ...all('minute hour day_of_week day_of_month day_of_year', signature(['vector'], { optional: 1 })),
  ...all('month year days_in_month', signature(['vector'], { optional: 1 })),
  ...all('vector', signature(['scalar'])),
  ...all('scalar', signature(['vector'], { returns: 'scalar' })),
  ...all('time pi', signature([], { returns: 'scalar' })),
]);

export function signatureOf(name: string): Signature | undefined {
  return SIGNATURES.get(name);
}

/** Aggregations; those that need a parameter say of which type. */
export const AGGREGATIONS: ReadonlyMap<string, ValueType | undefined> = new Map<
  string,
  ValueType | undefined
>([
  ['sum', undefined],
  ['avg', undefined],
  ['min', undefined],
  ['max', undefined],
  ['count', undefined],
  ['group', undefined],
  ['stddev', undefined],
  ['stdvar', undefined],
  ['topk', 'scalar'],
  ['bottomk', 'scalar'],
  ['limitk', 'scalar'],
  ['quantile', 'scalar'],
  ['count_values', 'string'],
]);
