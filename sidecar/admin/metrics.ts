/**
 * The sidecar's Prometheus metrics, made from the plain counts of `stats.ts` when somebody scrapes. Loaded
 * with the first scrape. Labels are namespace and function only, plus small closed sets.
 */
import type { Breaker } from '../limits/breaker.ts';
import {
  Gauge,
  latencyHistogram,
  readCounter,
  type MetricLabels,
  type Registry,
} from '../../common/runtime/metrics.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { JobStats } from '../jobs/ending/job-stats.ts';
import type { PlaceGivers } from '../limits/place-lines.ts';
import type { Stats } from '../stats.ts';

export interface SidecarMetricsSource {
  readonly id: FunctionId;
  readonly breaker: Breaker;
  readonly stats: Stats;
  readonly placeLines: Pick<PlaceGivers, 'size' | 'granted' | 'expired' | 'waiting'>;
  readonly jobs: { readonly stats: JobStats; readonly events: JobStats; running(): number };
}

/** Registers everything once; the values are read at each scrape. */
export function registerSidecarMetrics(registry: Registry, source: SidecarMetricsSource): void {
  const { breaker, stats } = source;
  const base: MetricLabels = { namespace: source.id.namespace, function: source.id.name };
  counter(registry, 'requests_total', 'Calls that ended, by class of their answer', 'code_class', () =>
    labelled(stats.requests, base, 'code_class'),
  );
  counter(registry, 'refusals_total', 'Calls turned away untouched, by reason', 'reason', () =>
    labelled(stats.refusals, base, 'reason'),
  );
  const unproven = 'Calls let in from connections that had not shown that a proxy opened them';
  counter(registry, 'unproven_calls_total', unproven, undefined, () => [[base, stats.unproven]]);
  counter(registry, 'retries_total', 'Calls tried again on the spot', undefined, () => [
    [base, stats.retries],
  ]);
  gauge(registry, 'running', 'Calls running in the app', base, () => breaker.running);
  gauge(registry, 'waiting', 'Direct callers waiting for a place', base, () => breaker.waiting);
  gauge(registry, 'limit', 'Calls that may run at once', base, () => breaker.limit);
  gauge(
    registry,
    'drain_seconds',
    'Length of the drain so far; 0 before it',
    base,
    () => stats.drainSeconds ?? 0,
  );
  const open = 'Connections to the app past proxy and sidecar that are open and in use';
  gauge(registry, 'direct_connections', open, base, () => stats.direct.open);
  const opened = 'Such connections opened while no call ran, beyond what probes explain';
  counter(registry, 'direct_opened_total', opened, undefined, () => [[base, stats.direct.openedTotal]]);
  latencyHistogram(registry, {
    name: 'slimfaas_sidecar_request_duration_seconds',
    help: 'From the first byte of a call to its end, waiting and retries included',
    labelNames: ['namespace', 'function'],
    read: () => [[base, stats.duration]],
  });
  registerLineMetrics(registry, source.placeLines, base);
  registerJobMetrics(registry, source.jobs, base);
}

function registerLineMetrics(
  registry: Registry,
  lines: SidecarMetricsSource['placeLines'],
  base: MetricLabels,
): void {
  gauge(registry, 'place_lines', 'Proxies that wait for places here', base, () => lines.size);
  const granted = 'Places granted to proxies whose callers waited';
  counter(registry, 'places_granted_total', granted, undefined, () => [[base, lines.granted]]);
  const expired = 'Granted places that their proxy did not use in time';
  counter(registry, 'places_expired_total', expired, undefined, () => [[base, lines.expired]]);
}

function registerJobMetrics(
  registry: Registry,
  { stats, events, running }: SidecarMetricsSource['jobs'],
  base: MetricLabels,
): void {
  gauge(registry, 'jobs_running', 'Jobs and events that hold a place', base, running);
  counter(registry, 'job_tries_total', 'Requests of jobs that the app was given', undefined, () => [
    [base, stats.tries],
  ]);
  const help = 'Jobs that left this pod: done, to be retried, dead, or given back without a charge';
  counter(registry, 'jobs_total', help, 'outcome', () => labelled(stats.ends, base, 'outcome'));
  const missing = 'Ends of jobs for which JetStream had no room: what of them is missing';
  counter(registry, 'job_records_missing_total', missing, 'what', () =>
    labelled(stats.missing, base, 'what'),
  );
  const untold = 'Jobs that have ended and whose end JetStream does not know yet';
  gauge(registry, 'job_ends_untold', untold, base, () => stats.untold());
  counter(registry, 'event_tries_total', 'Requests of events that the app was given', undefined, () => [
    [base, events.tries],
  ]);
  const ends = "This pod's copies of events: done, to be retried, dead, or given back without a charge";
  counter(registry, 'events_total', ends, 'outcome', () => labelled(events.ends, base, 'outcome'));
}

type Samples = readonly (readonly [MetricLabels, number])[];

function counter(
  registry: Registry,
  name: string,
  help: string,
  extraLabel: string | undefined,
  read: () => Samples,
): void {
  readCounter(registry, {
    name: `slimfaas_sidecar_${name}`,
    help,
    labelNames: ['namespace', 'function', ...(extraLabel === undefined ? [] : [extraLabel])],
    read,
  });
}

function gauge(
  registry: Registry,
  name: string,
  help: string,
  labels: MetricLabels,
  read: () => number,
): void {
  new Gauge({
    name: `slimfaas_sidecar_${name}`,
    help,
    labelNames: ['namespace', 'function'],
    registers: [registry],
    collect() {
      this.set(labels, read());
    },
  });
}

function labelled(counts: Readonly<Record<string, number>>, base: MetricLabels, label: string): Samples {
  return Object.entries(counts).map(([key, value]) => [{ ...base, [label]: key }, value] as const);
}
