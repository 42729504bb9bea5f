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
import type { QueriesStats } from '../queries/queries-stats.ts';
import { queryMetrics } from '../queries/query-metrics.ts';
import type { PassTiming } from '../loop/slicer.ts';

const LABELS = ['namespace', 'function'] as const;

/** One function's line at the moment of a scrape. */
export interface FunctionSample {
  readonly workload: Workload;
  readonly desired: number;
  readonly ready: number;
  readonly faults: number;
  readonly direction: 'up' | 'down' | 'hold';
  readonly reason: string;
  readonly jobs: JobCounts;
  readonly running: number;
  readonly waiting: number;
}

export interface JobCounts {
  readonly ready: number;
  readonly inFlight: number;
  readonly retryPending: number;
}

export interface ScalerMetricsSource {
  readonly isLeader: () => boolean;
  readonly samples: () => Iterable<FunctionSample>;
  /** What is kept for queries. */
  readonly queries: () => QueriesStats;
  /** Reports of pods that no watch has shown. */
  readonly earlyReports: () => number;
}

export interface ScalerMetrics {
  decided(workload: Workload, kind: string): void;
  wokenAfter(seconds: number): void;
  passed(timing: PassTiming): void;
  /** A Kubernetes Event was not written, because its workload has had too many. */
  eventDropped(): void;
}

export interface GaugeSpec {
  readonly name: string;
  readonly help: string;
  readonly value: (sample: FunctionSample) => number;
  /** Known to the leader only. */
  readonly isLeaders?: true;
}

export const GAUGES: readonly GaugeSpec[] = [
  {
    name: 'slimfaas_autoscaler_current_replicas',
    help: 'Replicas that the workload asks for now',
    value: (s) => s.workload.replicas,
  },
  {
    name: 'slimfaas_autoscaler_desired_replicas',
    help: 'Replicas of the latest decision',
    value: (s) => s.desired,
    isLeaders: true,
  },
  { name: 'slimfaas_autoscaler_ready_replicas', help: 'Ready pods', value: (s) => s.ready },
  {
    name: 'slimfaas_annotation_faults',
    help: 'Annotations that cannot be used as written; their defaults are in force',
    value: (s) => s.faults,
  },
  { name: 'slimfaas_function_running_requests', help: 'Calls and jobs that run', value: (s) => s.running },
  {
    name: 'slimfaas_function_waiting_requests',
    help: 'Calls that wait for a place or for a pod',
    value: (s) => s.waiting,
  },
  {
    name: 'slimfaas_function_queue_ready_items',
    help: 'Jobs that wait for a free place',
    value: (s) => s.jobs.ready,
    isLeaders: true,
  },
  {
    name: 'slimfaas_function_queue_in_flight_items',
    help: 'Jobs that run; where calls run too, at most so many',
    value: (s) => s.jobs.inFlight,
    isLeaders: true,
  },
  {
    name: 'slimfaas_function_queue_retry_pending_items',
    help: 'Jobs that wait for their next try',
    value: (s) => s.jobs.retryPending,
    isLeaders: true,
  },
];

/** What is read at a scrape. */
export function registerScalerGauges(registry: Registry, given: ScalerMetricsSource): void {
  const source = { ...given, samples: onceAScrape(given.samples) };
  queryMetrics(registry, given.queries);
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
  const passed = passHistograms(registry);
  return {
    passed,
    eventDropped: () => dropped.inc(),
    decided: (workload, kind) => decisions.inc({ ...labelsOf(workload), kind }),
    wokenAfter: (seconds) => wakes.observe(seconds),
  };
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
