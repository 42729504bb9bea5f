/** What the calls and tunnels of one sidecar share; made once in start.ts. */
import type { Relay, Target } from '../common/relay/index.ts';
import type { Admission } from './admission.ts';
import type { RetryPolicy } from './call-policy.ts';
import type { Drain } from './drain.ts';
import type { InFlight } from './in-flight.ts';
import type { Reporter } from './report.ts';
import type { Stats } from './stats.ts';

export interface SidecarContext {
  readonly app: Target;
  readonly policy: RetryPolicy;
  readonly relay: Relay;
  readonly admission: Admission;
  readonly inFlight: InFlight;
  readonly stats: Stats;
  readonly reporter: Reporter;
  readonly drain: Drain;
}
