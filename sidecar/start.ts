import type { FlagValues } from '../common/flags.ts';
import type { Running } from '../common/lifecycle.ts';
import type { Log } from '../common/log.ts';
import type { Registry } from '../common/metrics.ts';
import type { NatsLink } from '../common/nats.ts';
import type { sidecarFlags } from './flags.ts';

export interface SidecarDeps {
  readonly log: Log;
  readonly nats: NatsLink;
  readonly registry: Registry;
}

export async function startSidecar(
  config: FlagValues<typeof sidecarFlags>,
  deps: SidecarDeps,
): Promise<Running> {
  deps.log.info({ function: config.function }, 'sidecar');
  return { stop: async () => undefined };
}
