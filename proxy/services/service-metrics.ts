/** What the listeners show of themselves. */
import { Counter, Gauge, type Registry } from '../../common/runtime/metrics.ts';
import type { ServiceListeners } from './service-listeners.ts';

/** @returns what counts connections that have ended */
export function registerServiceMetrics(
  registry: Registry,
  listeners: () => Pick<ServiceListeners, 'counts' | 'openPorts'>,
): Counter<'result'> {
  const registers = [registry];
  new Gauge({
    name: 'slimfaas_proxy_service_connections',
    help: 'Connections by Services of sleeping functions: waiting for a pod, open to one',
    labelNames: ['state'] as const,
    registers,
    collect() {
      for (const [state, count] of Object.entries(listeners().counts)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'slimfaas_proxy_service_ports',
    help: 'Ports open for Services of functions',
    registers,
    collect() {
      this.set(listeners().openPorts.length);
    },
  });
  return new Counter({
    name: 'slimfaas_proxy_service_connections_total',
    help: 'Connections by Services that have ended: served by a pod, refused for lack of one, left by their client',
    labelNames: ['result'] as const,
    registers,
  });
}
