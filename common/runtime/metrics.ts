/**
 * Prometheus metrics: each part makes one Registry and passes it on; nothing uses prom-client's global one.
 * Labels are namespace and function, never a pod or a path, so that the number of series is bounded by the
 * number of functions.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { LATENCY_BUCKETS, type LatencyCounts } from './latency-counts.ts';

export { Counter, Gauge, Histogram, Registry };

export type MetricLabels = Readonly<Record<string, string>>;

/** A metric whose values are counted elsewhere and read at each scrape. */
export interface Described<V> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly read: () => Iterable<readonly [MetricLabels, V]>;
}

/** A counter for the hot path: prom-client hashes the labels at each increment, half a microsecond of a call. */
export function readCounter(registry: Registry, { name, help, labelNames, read }: Described<number>): void {
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.inc(labels, value);
    },
  });
}

/** A histogram of {@link LATENCY_BUCKETS}, for the same reason. */
export function latencyHistogram(
  registry: Registry,
  { name, help, labelNames, read }: Described<LatencyCounts>,
): void {
  const buckets = [...LATENCY_BUCKETS];
  const histogram = new Histogram({ name, help, labelNames: [...labelNames], buckets, registers: [] });
  const get = async () => {
    const values = [...read()].flatMap(([labels, counts]) => histogramValues(name, labels, counts));
    return { name, help, type: 'histogram', aggregator: 'sum', values };
  };
  // getForPromString is prom-client's way to text, get the one to JSON; both read its own store otherwise.
  registry.registerMetric(Object.assign(histogram, { get, getForPromString: get }));
}

interface HistogramValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

function histogramValues(name: string, labels: MetricLabels, latency: LatencyCounts): HistogramValue[] {
  let total = 0;
  const values: HistogramValue[] = [];
  for (const [i, count] of latency.counts.entries()) {
    total += count; // Prometheus' buckets are cumulative
    const le = LATENCY_BUCKETS[i] ?? '+Inf';
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total });
  }
  values.push({ metricName: `${name}_sum`, labels, value: latency.sumSeconds });
  values.push({ metricName: `${name}_count`, labels, value: total });
  return values;
}

/** `slimfaas_build_info{part,version}` and the process's own CPU, memory and event loop. */
export function createRegistry(part: string, version: string): Registry {
  const registry = new Registry();
  new Gauge({
    name: 'slimfaas_build_info',
    help: 'Version of this process; always 1',
    labelNames: ['part', 'version'],
    registers: [registry],
  }).set({ part, version }, 1);
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of this process',
    registers: [registry],
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time of this process',
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  return registry;
}

/** The exposition without each series that names a function or a namespace. */
export function withoutNames(text: string): string {
  return text.replaceAll(/^[^#\n]*\b(?:function|namespace)="[^\n]*\n/gm, '');
}
