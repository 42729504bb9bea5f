/** What is shown of Services: how many, how many lead to proxies, ports, writes. */
import { Counter, Gauge, type Registry } from '../../common/runtime/metrics.ts';
import type { ServiceKeeper } from './service-keeper.ts';

interface Shown {
  readonly isLeader: () => boolean;
  readonly counts: () => ServiceKeeper['counts'];
  readonly freePorts: () => number;
}

/** @returns what counts writes */
export function registerSliceMetrics(
  registry: Registry,
  { isLeader, counts, freePorts }: Shown,
): Counter<'verb' | 'result'> {
  const registers = [registry];
  new Gauge({
    name: 'slimfaas_services',
    help: 'Services of functions with slimfaas.dev/services: wake: kept, of these leading to proxies now, not served',
    labelNames: ['state'] as const,
    registers,
    collect() {
      this.reset();
      if (!isLeader()) return;
      for (const [state, count] of Object.entries(counts())) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'slimfaas_services_free_ports',
    help: 'Ports of the proxies that are left for Services',
    registers,
    collect() {
      this.set(freePorts());
    },
  });
  return new Counter({
    name: 'slimfaas_services_slice_writes_total',
    help: 'EndpointSlices written for Services',
    labelNames: ['verb', 'result'] as const,
    registers,
  });
}
