/** What everything in a sidecar shares: places, counts, the way to the app. Nothing here depends on another part. */
import { podIdentity } from '../common/places/protocol.ts';
import type { Relay } from '../common/relay/index.ts';
import { type FunctionId } from '../common/bus/subjects.ts';
import { Admission } from './limits/admission.ts';
import type { AppHop } from './context.ts';
import { InFlight } from './limits/in-flight.ts';
import { Fairness } from './limits/fairness.ts';
import { OlderProxies } from './limits/older-proxies.ts';
import { PlaceGivers } from './limits/place-lines.ts';
import { createCallerCheck } from './call/caller-check.ts';
import { OpenTunnels } from './call/open-tunnels.ts';
import { firstLimit } from './limits/shares.ts';
import type { SidecarConfig, SidecarDeps } from './config.ts';
import type { Policies } from './call/policies.ts';
import { Stats } from './stats.ts';

export type Core = ReturnType<typeof buildCore>;

export function buildCore(config: SidecarConfig, { relay, hop, policies, log }: CoreDeps) {
  const id: FunctionId = { namespace: config.namespace, name: config.function };
  const admission = new Admission({
    limit: firstLimit(config['parallel-per-pod'], config['parallel-limit']),
    queueLimit: config['queue-limit'],
    queueTimeoutMs: config['queue-timeout-seconds'] * 1_000,
    fairness: new Fairness(config['job-share'] / 100),
  });
  const placeLines = new PlaceGivers({ admission, log });
  const stats = new Stats();
  const identity = config['pod-name'] === '' ? undefined : podIdentity(config.namespace, config['pod-name']);
  return {
    id,
    /** When this run of the sidecar began; see common/bus/announcement-order.ts. */
    startedAtMs: Date.now(),
    identity,
    callers: createCallerCheck({ config, pod: identity, stats, log }),
    placeLines,
    olderProxies: new OlderProxies(placeLines),
    app: { host: config['app-host'], port: config['app-port'] },
    maxConnections: config['max-connections'],
    policy: policies.sync,
    relay,
    hop,
    admission,
    inFlight: new InFlight(),
    stats,
    tunnels: new OpenTunnels(),
  };
}

export interface CoreDeps extends SidecarDeps {
  readonly policies: Policies;
  readonly relay: Relay;
  readonly hop: AppHop;
}
