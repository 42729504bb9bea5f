/** What the calls and tunnels of one sidecar share; made once in start.ts. */
import type { Dial, Relay, RelayTarget } from '../common/relay/index.ts';
import type { Admission } from './limits/admission.ts';
import type { AppDown } from './app/app-down.ts';
import type { AppTrouble } from './app/app-trouble.ts';
import type { RetryPolicy } from '../common/call/policy.ts';
import type { CallerCheck } from './call/caller-check.ts';
import type { Drain } from './life/drain.ts';
import type { InFlight } from './limits/in-flight.ts';
import type { OlderProxies } from './limits/older-proxies.ts';
import type { PlaceGivers } from './limits/place-lines.ts';
import type { Reporter } from './admin/report.ts';
import type { Stats } from './stats.ts';

/** What differs between the ways to speak to the app. */
export interface AppHop {
  /** How an upgrade's connection is made; undefined: plain TCP. */
  readonly dial?: Dial | undefined;
  /** A caller that neither sends nor reads for so long is treated as gone. 0: no limit. */
  readonly idleMs: number;
  /**
   * How much of the body of a call that must not run twice is kept for the case that the app provably has not seen it. On HTTP/2
   * that happens in the middle of a body. An app that closes its connection in order (a gRPC server at its
   * connection's age limit) names the last call that it took.
   */
  readonly unprocessedBytes: number;
}

export interface SidecarContext {
  /** `namespace/pod` of this pod, as proxies name it; undefined for a sidecar that was given no pod name. */
  readonly identity: string | undefined;
  readonly callers: CallerCheck;
  readonly app: RelayTarget;
  /** For proxies and direct callers together. */
  readonly maxConnections: number;
  readonly policy: RetryPolicy;
  readonly relay: Relay;
  readonly hop: AppHop;
  readonly admission: Admission;
  readonly placeLines: PlaceGivers;
  readonly appDown: AppDown;
  readonly trouble: Pick<AppTrouble, 'why'>;
  readonly olderProxies: OlderProxies;
  readonly inFlight: InFlight;
  readonly stats: Stats;
  readonly reporter: Reporter;
  readonly drain: Drain;
}
