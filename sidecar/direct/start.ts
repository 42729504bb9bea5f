/** Counts direct traffic by the sidecar's configuration. A file of its own, because few sidecars load it. */
import type { Log } from '../../common/runtime/log.ts';
import type { SidecarConfig } from '../config.ts';
import type { Core } from '../core.ts';
import { watchBusy } from './busy.ts';
import { DirectTraffic } from './direct-traffic.ts';
import { parseProbes } from './probe-budget.ts';

export interface DirectPorts {
  readonly data: number;
  readonly admin: number;
  /** Connections that the sidecar's own servers have accepted. */
  readonly accepted: () => number;
}

/** @returns what ends it; does nothing where the tables cannot be read */
export function startDirectTraffic(
  config: SidecarConfig,
  log: Log,
  { stats, admission: { breaker } }: Pick<Core, 'stats' | 'admission'>,
  ports: DirectPorts,
): () => void {
  const traffic = new DirectTraffic({
    probes: parseProbes(config['direct-probes']),
    ignored: config['direct-ignore'],
    idleMs: config['direct-idle-seconds'] * 1_000,
    longestPauseMs: config['direct-look-seconds'] * 1_000,
    ownPorts: [ports.data, ports.admin],
    podIp: config['pod-ip'],
    accepted: ports.accepted,
    isBusy: watchBusy({
      ended: () => stats.ended,
      present: () => breaker.running + breaker.waiting,
    }),
    counts: stats.direct,
    log,
  });
  const why = traffic.start();
  if (why !== undefined) log.info({ why }, 'direct traffic is not counted');
  return () => traffic.stop();
}
