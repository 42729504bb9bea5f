/** Aggregations over an instant vector: `sum by (x)`, `topk`, `quantile` and the rest. */
import type { Aggregate } from './ast.ts';
import { dropLabels, keepLabels, labelsKey, METRIC_NAME, type Labels } from './labels.ts';
import { extreme, quantile, sum, variance } from './range-functions.ts';
import type { Sample } from './values.ts';

type Reduce = (values: readonly number[], param: number) => number;

const REDUCERS: ReadonlyMap<string, Reduce> = new Map<string, Reduce>([
  ['sum', sum],
  ['avg', (values) => sum(values) / values.length],
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
  const groups = groupSamples(expr, samples);
  const op = expr.op.toLowerCase();
  if (op === 'topk' || op === 'bottomk') {
    return groups.flatMap((group) => pick(group.samples, Number(param), op === 'topk'));
  }
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

/** The samples themselves, with all their labels; not-a-number comes last either way. */
function pick(samples: readonly Sample[], k: number, isTop: boolean): Sample[] {
  const count = Number.isNaN(k) ? 0 : Math.max(0, Math.trunc(Math.min(k, samples.length)));
  const order = (a: Sample, b: Sample) => {
    if (Number.isNaN(a.value) || Number.isNaN(b.value)) {
      return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
    }
    return isTop ? b.value - a.value : a.value - b.value;
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
