/** Aggregations over an instant vector: `sum by (x)`, `topk`, `quantile` and the rest. */
import type { Aggregate } from '../parse/ast.ts';
import { dropLabels, keepLabels, labelsKey, METRIC_NAME, type Labels } from '../labels.ts';
import { checkLabelName } from './functions.ts';
import { extreme, mean, quantile, sum, variance } from './statistics.ts';
import { PromqlError } from '../error.ts';
import type { Sample } from '../values.ts';

type Reduce = (values: readonly number[], param: number) => number;

const REDUCERS: ReadonlyMap<string, Reduce> = new Map<string, Reduce>([
  ['sum', sum],
  ['avg', mean],
  ['min', (values) => extreme(values, (a, b) => a < b)],
  ['max', (values) => extreme(values, (a, b) => a > b)],
  ['count', (values) => values.length],
  ['group', () => 1],
  ['stdvar', variance],
  ['stddev', (values) => Math.sqrt(variance(values))],
  ['quantile', (values, q) => quantile(q, values)],
]);

interface Group {
  readonly labels: Labels;
  readonly samples: Sample[];
}

/** @param param of topk, bottomk and quantile; the label's name of count_values */
export function aggregate(expr: Aggregate, samples: readonly Sample[], param: number | string): Sample[] {
  const op = expr.op.toLowerCase();
  const groups = groupSamples(expr, samples);
  if (op === 'topk' || op === 'bottomk' || op === 'limitk') {
    const count = countOf(Number(param), expr);
    return groups.flatMap((group) => pick(group.samples, count, op));
  }
  if (op === 'count_values') checkLabelName(String(param), expr.position);
  if (op === 'count_values') return groups.flatMap((group) => countValues(group, String(param)));
  const reduce = REDUCERS.get(op) as Reduce;
  return groups.map(({ labels, samples }) => ({
    labels,
    value: reduce(
      samples.map((sample) => sample.value),
      Number(param),
    ),
  }));
}

function groupSamples(expr: Aggregate, samples: readonly Sample[]): Group[] {
  const { grouping, isWithout } = expr;
  const dropped = [...grouping, METRIC_NAME];
  const groups = new Map<string, Group>();
  for (const sample of samples) {
    const labels = isWithout ? dropLabels(sample.labels, dropped) : keepLabels(sample.labels, grouping);
    const key = labelsKey(labels);
    const group = groups.get(key);
    if (group) group.samples.push(sample);
    else groups.set(key, { labels, samples: [sample] });
  }
  return [...groups.values()];
}

/** As Prometheus checks it: a whole number that fits 64 bits; less than one picks nothing. */
function countOf(k: number, { position }: Aggregate): number {
  if (Number.isNaN(k))
    throw new PromqlError('execution', 'the parameter is not a number (NaN)', { position });
  if (Math.abs(k) >= 2 ** 63)
    throw new PromqlError('execution', `the parameter ${k} is too large`, { position });
  return Math.max(0, Math.trunc(k));
}

/** The samples themselves, with all their labels; not-a-number comes last either way. */
function pick(samples: readonly Sample[], count: number, op: 'topk' | 'bottomk' | 'limitk'): Sample[] {
  if (op === 'limitk') return samples.slice(0, count);
  const order = (a: Sample, b: Sample) => {
    if (Number.isNaN(a.value) || Number.isNaN(b.value)) {
      return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
    }
    return op === 'topk' ? b.value - a.value : a.value - b.value;
  };
  return samples.toSorted(order).slice(0, count);
}

function countValues(group: Group, label: string): Sample[] {
  const counts = new Map<string, number>();
  for (const { value } of group.samples) {
    const text = formatValue(value);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, value]) => ({ labels: new Map([...group.labels, [label, text]]), value }));
}

function formatValue(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
