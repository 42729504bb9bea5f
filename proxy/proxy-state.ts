/** What the proxy knows, put together: functions, pods, those who wait and those who run. No I/O but the wake. */
import type { Ranges } from '../common/outbound/address.ts';
import { readRanges } from './callers/caller-address.ts';
import { HostPolicy } from '../common/function/hosts.ts';
import { createRelay, type Relay } from '../common/relay/index.ts';
import type { FunctionId } from '../common/bus/subjects.ts';
import { ActiveCalls } from './edge/active-calls.ts';
import { Gates } from './callers/gate.ts';
import type { Clock } from './clock.ts';
import { Endpoints } from './pods/endpoints.ts';
import type { ProxyConfig } from './flags.ts';
import { FunctionEntry, type EntryDeps } from './functions/function-entry.ts';
import { FunctionLookup } from './functions/function-lookup.ts';
import { FunctionTable } from './functions/function-table.ts';
import { viewBarePods } from './functions/function-view.ts';
import type { WatchTargets } from './functions/kube-watch.ts';
import { OpenUpgrades } from './edge/open-upgrades.ts';
import type { LineBudget } from './pods/place-lines.ts';
import type { PodGroup } from './pods/pod-group.ts';
import type { ProxyMetrics } from './metrics/proxy-metrics.ts';
import { PublishedRoutes } from './edge/outside.ts';
import { createTrust } from './edge/trust.ts';
import { WaitingBudget } from './waiting/waiting-budget.ts';
import { Siblings } from './pods/siblings.ts';
import type { Log } from '../common/runtime/log.ts';
import type { Resolve } from '../common/outbound/resolve.ts';
import type { Report } from './metrics/report.ts';
import type { Wake } from './waiting/wake.ts';

export interface ProxyState {
  readonly passOn: ProxyStateDeps['passOn'];
  readonly siblings: Siblings;
  readonly table: FunctionTable<FunctionEntry>;
  readonly endpoints: Endpoints;
  readonly lookup: FunctionLookup;
  readonly budget: WaitingBudget;
  readonly lines: LineBudget;
  readonly active: ActiveCalls;
  readonly upgrades: OpenUpgrades;
  readonly relay: Relay;
  readonly gates: Gates;
  readonly published: PublishedRoutes;
  /** Addresses of --outside-cidrs. */
  readonly outside: Ranges | undefined;
  /** Where the watch puts what it sees. */
  readonly targets: WatchTargets;
}

export interface ProxyStateDeps {
  readonly clock: Clock;
  readonly wallClock?: (() => number) | undefined;
  readonly random: () => number;
  readonly metrics: ProxyMetrics;
  readonly log: Log;
  readonly resolve?: Resolve | undefined;
  readonly wake: Wake;
  readonly report: Report;
  /** Passes a sidecar's `ready` on to the scaler and to other proxies: a new pod may not reach NATS yet. */
  readonly passOn: (id: FunctionId, message: Uint8Array) => void;
}

/** Connections to pods' admin ports, while calls wait; beyond it pods are probed. */
const MOST_PLACE_LINES = 1_024;

export function createProxyState(config: ProxyConfig, deps: ProxyStateDeps): ProxyState {
  const budget = new WaitingBudget({ maxCalls: config['queue-total'], maxBytes: config['queue-bytes'] });
  const relay = createRelay();
  const gates = new Gates(config, deps);
  const defaults = {
    queueLimit: config['queue-limit'],
    coldStartSeconds: config['cold-start-timeout'],
  };
  const lines: LineBudget = { open: 0, most: MOST_PLACE_LINES };
  const endpoints = new Endpoints({
    clock: deps.clock,
    random: deps.random,
    onGone: ({ host, port }) => {
      if (host !== '' && port !== undefined) relay.forget({ host, port });
    },
  });
  const onState: EntryDeps['onState'] = (id, endpoint, message, data) => {
    const isChanged = message.state === 'ready' && !endpoint.isReady;
    endpoints.heardReady(id, message);
    if (isChanged && endpoint.isReady) deps.passOn(id, data);
  };
  const entryDeps = { ...deps, budget, defaults, lines, gates, onState };
  const table = new FunctionTable(
    config.namespace,
    (view) => new FunctionEntry(view, endpoints.group(view.owner), entryDeps),
    new HostPolicy(config['function-hosts']),
  );
  endpoints.onGroup((group) => syncBarePods(table, group));
  const siblings = new Siblings(config.namespace, config['pod-name']);
  return {
    passOn: deps.passOn,
    siblings,
    table,
    endpoints,
    lookup: new FunctionLookup(table, createTrust(endpoints)),
    budget,
    lines,
    active: new ActiveCalls(),
    upgrades: new OpenUpgrades(),
    relay,
    gates,
    published: new PublishedRoutes(config['public-routes']),
    outside: readRanges('outside-cidrs', config['outside-cidrs']),
    targets: {
      setFunction: (view) => table.set(view),
      removeFunction(kind, id) {
        table.remove(kind, id);
        endpoints.dropIfUnused({ kind: kind === 'Pod' ? 'Other' : kind, id });
      },
      setPod(view) {
        siblings.setPod(view);
        endpoints.setPod(view);
      },
      deletePod(namespace, name) {
        siblings.deletePod(namespace, name);
        endpoints.deletePod(namespace, name);
      },
    },
  };
}

/** Pods that nobody scales make their own function, for as long as one of them is there. */
function syncBarePods(table: FunctionTable<FunctionEntry>, group: PodGroup): void {
  const { owner } = group;
  if (owner.kind !== 'Other') return;
  const view = viewBarePods(
    owner,
    [...group.all].map((endpoint) => endpoint.view),
  );
  if (view) table.set(view);
  else table.remove('Pod', owner.id);
}
