/** Whether sources answer, for operators: of each source, and counted by type. */
import { Counter, Gauge, type Registry } from '../../common/runtime/metrics.ts';
import type { TriggerSources } from './trigger-sources.ts';

export function sourceMetrics(registry: Registry, sources: Pick<TriggerSources, 'health' | 'polls'>): void {
  const registers = [registry];
  new Gauge({
    name: 'slimfaas_scaler_source_up',
    help: '1 when the source answered the last time that it was asked; of the leader alone',
    labelNames: ['namespace', 'function', 'source'] as const,
    registers,
    collect() {
      this.reset();
      for (const { isUp, ...labels } of sources.health()) this.set(labels, isUp ? 1 : 0);
    },
  });
  new Counter({
    name: 'slimfaas_scaler_source_polls_total',
    help: 'Answers of sources, and polls that failed, by type',
    labelNames: ['type', 'outcome'] as const,
    registers,
    collect() {
      this.reset();
      for (const [key, count] of sources.polls) {
        const [type = '', outcome = ''] = key.split(' ');
        this.inc({ type, outcome }, count);
      }
    },
  });
}
