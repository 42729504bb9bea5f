/** What queries see and what they were refused: at a bound samples are turned away, and triggers may lack data. */
import { Counter, Gauge, type Registry } from '../../common/runtime/metrics.ts';
import type { QueriesStats } from './queries-stats.ts';

export function queryMetrics(registry: Registry, stats: () => QueriesStats): void {
  const registers = [registry];
  const kept: [name: string, help: string, value: () => number][] = [
    ['slimfaas_scaler_query_series', 'Series kept for queries', () => stats().series],
    ['slimfaas_scaler_query_samples', 'Samples kept for queries', () => stats().samples],
    ['slimfaas_scaler_source_polls', 'Polls of sources that run', () => stats().sources.polls],
    [
      'slimfaas_scaler_source_polls_in_line',
      'Polls of sources that wait for their turn',
      () => stats().sources.pollsInLine,
    ],
    [
      'slimfaas_scaler_source_names_in_line',
      'Names of sources that wait to be looked up',
      () => stats().sources.namesInLine,
    ],
  ];
  for (const [name, help, value] of kept) {
    const collect = function (this: Gauge) {
      this.set(value());
    };
    new Gauge({ name, help, registers, collect });
  }
  new Counter({
    name: 'slimfaas_scaler_query_samples_dropped_total',
    help: 'Samples that queries want and that had no room',
    registers,
    collect() {
      this.reset();
      this.inc(stats().dropped);
    },
  });
  countBy(
    registry,
    'slimfaas_scaler_scrape_failures_total',
    'Scrapes of pods that failed or were refused',
    () => stats().refused,
  );
  countBy(
    registry,
    'slimfaas_scaler_query_restarts_total',
    'Times that the evaluation of queries was started again',
    () => new Map(Object.entries(stats().restarts)),
  );
}

function countBy(
  registry: Registry,
  name: string,
  help: string,
  counts: () => ReadonlyMap<string, number>,
): void {
  new Counter({
    name,
    help,
    labelNames: ['reason'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of counts()) this.inc({ reason }, count);
    },
  });
}
