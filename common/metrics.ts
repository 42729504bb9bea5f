/**
 * Prometheus metrics: each part makes one Registry and passes it on; nothing uses prom-client's global one.
 * Labels are namespace and function, never a pod or a path, so that the number of series is bounded by the
 * number of functions.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export { Counter, Gauge, Histogram, Registry };

/** Seconds: from a loopback hop to a cold start that pulled an image. */
export const LATENCY_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
];

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
