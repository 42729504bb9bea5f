/** Each type of source, and what asks it. */
import type { Reach } from './reach.ts';
import type { SourceReader, SourceRule } from './source-rules.ts';
import type { SourceSeries } from './source-series.ts';
import { CronReader } from './kinds/cron.ts';
import { ExternalReader } from './kinds/external.ts';
import { JetStreamReader } from './kinds/jetstream.ts';
import { MetricsReader } from './kinds/metrics.ts';
import { PrometheusReader } from './kinds/prometheus.ts';

export interface SourceDeps {
  readonly reach: Reach;
  readonly series: SourceSeries;
  readonly now: () => number;
}

export function openSource(rule: SourceRule, deps: SourceDeps): SourceReader {
  const { source } = rule;
  switch (source.type) {
    case 'metrics':
      return new MetricsReader(rule, source, deps);
    case 'prometheus':
      return new PrometheusReader(rule, source, deps.reach);
    case 'nats-jetstream':
      return new JetStreamReader(rule, source, deps.reach);
    case 'external':
      return new ExternalReader(rule, source, deps.reach);
    case 'cron':
      return new CronReader(rule, source, deps.now);
  }
}
