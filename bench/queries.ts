/**
 * What do triggers with PromQL cost when every function has one of its own? One scrape of all their series, and one
 * evaluation of all queries, as the scaler does each scrape interval; at two sizes, because what matters is how it
 * grows.
 */
import { labelsOf } from '../scaler/promql/labels.ts';
import { compileQuery, createSeriesStore, queryNumber } from '../scaler/promql/query.ts';
import { median, type Bench, type Row } from './lib/bench.ts';

const SIZES = [1_000, 10_000];
const SCRAPE_MS = 15_000;

export const bench: Bench = {
  name: 'queries',
  describe: '1,000 and 10,000 functions, each with a PromQL query of its own: a scrape, and all queries',
  async run({ quick }) {
    return SIZES.flatMap((functions) => measure(functions, quick ? 5 : 15));
  },
};

function measure(functions: number, rounds: number): Row[] {
  const store = createSeriesStore();
  const names = Array.from({ length: functions }, (_, i) => `f${i}`);
  const queries = names.map((name) =>
    compileQuery(`sum(rate(http_requests_total{namespace="shop",function="${name}"}[1m]))`),
  );
  store.setWanted(queries.flatMap(({ selectors }) => selectors));
  const [scrapes, evaluations]: [number[], number[]] = [[], []];
  for (let round = 1; round <= rounds; round++) {
    const now = round * SCRAPE_MS;
    const samples = names.map((name) => ({
      labels: labelsOf({ __name__: 'http_requests_total', namespace: 'shop', function: name }),
      value: round * 15,
    }));
    scrapes.push(timed(() => store.scrape('exporter', samples, now)));
    evaluations.push(timed(() => queries.forEach((query) => queryNumber(query, store, now))));
  }
  const row = (metric: string, values: readonly number[]): Row => ({
    case: `${functions} functions`,
    metric,
    value: median(values),
    unit: 'ms',
  });
  return [row('a scrape', scrapes), row('all queries', evaluations)];
}

function timed(run: () => void): number {
  const begun = performance.now();
  run();
  return performance.now() - begun;
}
