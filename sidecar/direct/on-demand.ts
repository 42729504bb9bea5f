/** Direct traffic is counted by few sidecars: the others do not load it. */
import type { Log } from '../../common/runtime/log.ts';
import type { SidecarConfig } from '../config.ts';
import type { Core } from '../core.ts';
import type { DirectPorts } from './start.ts';

/** @returns what ends it; does nothing where it is not asked for, or where the tables cannot be read */
export function countDirectTraffic(
  config: SidecarConfig,
  log: Log,
  core: Pick<Core, 'stats' | 'admission'>,
  ports: DirectPorts,
): () => void {
  if (config['direct-traffic'] !== 'count') return () => undefined;
  let stop = (): void => undefined;
  let isOver = false;
  void import('./start.ts').then(({ startDirectTraffic }) => {
    if (!isOver) stop = startDirectTraffic(config, log, core, ports);
  });
  return () => {
    isOver = true;
    stop();
  };
}
