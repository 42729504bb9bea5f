/** What a sidecar is started with. */
import type { FlagValues } from '../common/runtime/flags.ts';
import type { Log } from '../common/runtime/log.ts';
import type { Registry } from '../common/runtime/metrics.ts';
import type { NatsLink } from '../common/bus/nats.ts';
import type { sidecarFlags } from '../common/function/sidecar-flags.ts';

export type SidecarConfig = FlagValues<typeof sidecarFlags>;

export interface SidecarDeps {
  readonly log: Log;
  /** Closed by the sidecar's stop, after the last report. */
  readonly nats: NatsLink;
  /** Asked for at the first scrape. */
  readonly registry: Registry | (() => Promise<Registry>);
}
