/**
 * What the scaler exports. SlimFaas's names where it has one; `function` is the workload's name as there, and
 * `namespace` is added. Everything about functions comes from the leader only, so that a sum over the replicas of the
 * scaler counts nothing twice. A follower exports only whether it leads.
 *
 * Room `scaler/status`: What the scaler shows: metrics and HTTP.
 * Comes in: state of functions.
 * Goes out: series, JSON.
 */
import { Counter, Gauge, Histogram, type Registry } from '../../common/runtime/metrics.ts';
import type { Workload } from '../world/kube-objects.ts';
import { GAUGES, type FunctionSample } from '../queries/function-gauges.ts';
import type { QueriesStats } from '../queries/queries-stats.ts';
import { sourceMetrics } from '../sources/source-metrics.ts';
import type { TriggerSources } from '../sources/trigger-sources.ts';
import { queryMetrics } from '../queries/query-metrics.ts';
import type { EffectMetrics } from '../act/effects.ts';
import type { PassTiming } from '../loop/slicer.ts';

const LABELS = ['namespace', 'function'] as const;

export interface ScalerMetricsSource {
  readonly isLeader: () => boolean;
  readonly samples: () => Iterable<FunctionSample>;
  /** What is kept for queries. */
  readonly queries: () => QueriesStats;
  readonly sources: Pick<TriggerSources, 'health' | 'polls'>;
  /** Reports of pods that no watch has shown. */
  readonly earlyReports: () => number;
  /** Wishes of pods about their events that are not fulfilled yet. */
  readonly eventWishes: () => number;
}

export interface ScalerMetrics extends EffectMetrics {
  passed(timing: PassTiming): void;
}

/** What is read at a scrape. */
export function registerScalerGauges(registry: Registry, given: ScalerMetricsSource): void {
  const source = { ...given, samples: onceAScrape(given.samples) };
  queryMetrics(registry, given.queries);
  sourceMetrics(registry, given.sources);
  for (const { name, help, value } of GAUGES) {
    new Gauge({
      name,
      help,
      labelNames: LABELS,
      registers: [registry],
      collect() {
        this.reset();
        if (!source.isLeader()) return;
        for (const sample of source.samples()) this.set(labelsOf(sample.workload), value(sample));
      },
    });
  }
  lastDecisionGauge(registry, source);
  new Gauge({
    name: 'slimfaas_scaler_is_leader',
    help: '1 on the replica that scales',
    registers: [registry],
    collect() {
      this.set(source.isLeader() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'slimfaas_scaler_early_reports',
    help: 'Reports of pods that no watch has shown yet',
    registers: [registry],
    collect() {
      this.set(source.earlyReports());
    },
  });
  new Gauge({
    name: 'slimfaas_scaler_event_wishes',
    help: 'Sidecars that wait until they may read their events, or for their events to be handed over',
    registers: [registry],
    collect() {
      this.set(source.eventWishes());
    },
  });
}

/** What is counted when it happens. */
export function createScalerMetrics(registry: Registry): ScalerMetrics {
  const dropped = new Counter({
    name: 'slimfaas_scaler_events_dropped_total',
    help: 'Kubernetes Events that were not written, for their workload has had twenty in ten minutes',
    registers: [registry],
  });
  const decisions = new Counter({
    name: 'slimfaas_autoscaler_decisions_total',
    help: 'Changes of a replica count that were carried out, by kind',
    labelNames: [...LABELS, 'kind'] as const,
    registers: [registry],
  });
  const wakes = new Histogram({
    name: 'slimfaas_autoscaler_wake_to_patch_seconds',
    help: 'From a wake message to the answer of the API server to the patch',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
    registers: [registry],
  });
  const rolledBack = new Counter({
    name: 'slimfaas_autoscaler_canaries_rolled_back_total',
    help: 'Canaries that were rolled back because they did worse than the function that they may replace',
    labelNames: LABELS,
    registers: [registry],
  });
  const passed = passHistograms(registry);
  return {
    passed,
    eventDropped: () => dropped.inc(),
    decided: (workload, kind) => decisions.inc({ ...labelsOf(workload), kind }),
    wokenAfter: (seconds) => wakes.observe(seconds),
    rolledBack: (workload) => rolledBack.inc(labelsOf(workload)),
  };
}

/** What is counted of the clients of its port. @returns to be called when one has met a limit */
export function countLimits(registry: Registry): (limit: string) => void {
  const limited = new Counter({
    name: 'slimfaas_scaler_limited_total',
    help: 'Clients that met a limit of the port: its connections, their headers, their time',
    labelNames: ['limit'] as const,
    registers: [registry],
  });
  return (limit) => limited.inc({ limit });
}

/** Ten gauges are collected in one go: all functions are walked once for them, not ten times. */
function onceAScrape(samples: () => Iterable<FunctionSample>): () => readonly FunctionSample[] {
  let known: readonly FunctionSample[] | undefined;
  return () => {
    if (!known) setImmediate(() => (known = undefined));
    return (known ??= [...samples()]);
  };
}

function passHistograms(registry: Registry): (timing: PassTiming) => void {
  const buckets = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1];
  const registers = [registry];
  const passes = new Histogram({
    name: 'slimfaas_scaler_tick_seconds',
    help: 'Time spent on deciding for all functions once',
    buckets,
    registers,
  });
  const slices = new Histogram({
    name: 'slimfaas_scaler_tick_longest_slice_seconds',
    help: 'For how long at most a tick kept everything else waiting',
    buckets,
    registers,
  });
  return ({ busyMs, longestSliceMs }) => {
    passes.observe(busyMs / 1_000);
    slices.observe(longestSliceMs / 1_000);
  };
}

function lastDecisionGauge(registry: Registry, source: ScalerMetricsSource): void {
  new Gauge({
    name: 'slimfaas_autoscaler_last_decision',
    help: 'The latest decision; 1 for its direction and reason',
    labelNames: [...LABELS, 'direction', 'reason'] as const,
    registers: [registry],
    collect() {
      this.reset();
      if (!source.isLeader()) return;
      for (const { workload, direction, reason } of source.samples())
        this.set({ ...labelsOf(workload), direction, reason }, 1);
    },
  });
}

function labelsOf(workload: Workload): { namespace: string; function: string } {
  return { namespace: workload.id.namespace, function: workload.id.name };
}
