/** Answers of queries for people: what `POST /debug/promql/eval` gives. */
import { METRIC_NAME, type Labels } from '../promql/labels.ts';
import { numberOfValue, PromqlError, type Value } from '../promql/query.ts';

/** An answer is for people; a range over thousands of series is a mistake in the query. */
const MAX_POINTS = 20_000;
/** All labels of an answer together, in characters. */
const MAX_LABEL_CHARS = 4 * 1024 * 1024;

/**
 * `number`: what a trigger with this query gets; null is no data. Values are text, for JSON has no NaN.
 * @throws PromqlError for an answer that is too long
 */
export function valueView(value: Value): object {
  const number = numberOfValue(value) ?? null;
  switch (value.type) {
    case 'scalar':
      return { type: 'scalar', number, value: textOf(value.value) };
    case 'string':
      return { type: 'string', number, value: value.value };
    case 'vector':
      bound(value.samples.length, value.samples);
      return {
        type: 'vector',
        number,
        series: value.samples.map((s) => ({ labels: plain(s.labels), value: textOf(s.value) })),
      };
    default:
      return matrixView(value, number);
  }
}

function matrixView({ matrix }: Extract<Value, { type: 'matrix' }>, number: number | null): object {
  bound(
    matrix.series.reduce((sum, { times }) => sum + times.length, 0),
    matrix.series,
  );
  const series = matrix.series.map(({ labels, times, values }) => ({
    labels: plain(labels),
    points: times.map((timeMs, i) => [timeMs / 1_000, textOf(values[i] ?? Number.NaN)]),
  }));
  return { type: 'matrix', number, series };
}

function bound(points: number, series: readonly { readonly labels: Labels }[]): void {
  if (points > MAX_POINTS)
    throw new PromqlError('too-expensive', `${points} points in the answer; at most ${MAX_POINTS} are shown`);
  let length = 0;
  for (const { labels } of series) for (const [name, text] of labels) length += name.length + text.length;
  if (length > MAX_LABEL_CHARS)
    throw new PromqlError(
      'too-expensive',
      `labels of ${length} characters; at most ${MAX_LABEL_CHARS} are shown`,
    );
}

function plain(labels: Labels): object {
  // The name first, as people write it.
  const name = labels.get(METRIC_NAME);
  const rest = [...labels].filter(([key]) => key !== METRIC_NAME);
  return Object.fromEntries(name === undefined ? rest : [[METRIC_NAME, name], ...rest]);
}

/** As Prometheus writes numbers. */
function textOf(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
