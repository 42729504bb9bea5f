/** Puts the room together: watches, reports of proxies, and a pass five times a second over both. */
import type { ServicePortsMessage } from '../../common/bus/service-ports.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import type { V1EndpointSlice, V1Pod, V1Service } from '../../common/kube/client.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { listedIn, listPath } from '../../common/kube/listed.ts';
import type { PageRequest } from '../../common/kube/lists.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import { wakeSliceSelector } from '../../common/kube/wake-slice.ts';
import { watchResource, type OnFailedObject, type Watched } from '../../common/kube/watched.ts';
import { UsageError } from '../../common/runtime/errors.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Registry } from '../../common/runtime/metrics.ts';
import type { ServiceFaults } from '../faults/service-faults.ts';
import { createSliceApi, readOwner } from '../world/kube-slices.ts';
import type { ScalerClients } from '../world/kube.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { WorldView } from '../world/world.ts';
import { PortRange } from './ports.ts';
import { followOwner } from './owner.ts';
import { ServiceKeeper } from './service-keeper.ts';
import { registerSliceMetrics } from './slice-metrics.ts';
import { SliceWriter } from './slice-writer.ts';

const PASS_MS = 200;
/** Proxies send their ports each second. This long after NATS is back, silence means that a proxy is gone. */
const HEARD_MS = 3_000;
const PROXY_LABELS = 'app.kubernetes.io/name=slimfaas,app.kubernetes.io/component=proxy';

export interface ServicesConfig {
  readonly namespaces: readonly string[];
  readonly namespace: string;
  readonly 'services-wake': boolean;
  readonly 'services-default': string;
  readonly 'services-ports-first': number;
  readonly 'services-ports-last': number;
  readonly 'services-owner': string;
}

export interface ServicesDeps {
  readonly clients: ScalerClients;
  readonly nats: Pick<NatsLink, 'isConnected' | 'othersBackInMs' | 'onStatus'>;
  readonly registry: Registry;
  readonly world: WorldView;
  readonly isLeader: () => boolean;
  readonly isSynced: () => boolean;
  readonly faults: ServiceFaults;
  readonly onFaultsChanged: (workload: Workload) => void;
  readonly onFailed: OnFailedObject;
  readonly now: () => number;
  readonly log: Log;
}

export interface KeptServices extends Running {
  /** For a report of a proxy: the ports on which it listens. */
  heard(message: ServicePortsMessage): void;
}

export function keepServices(config: ServicesConfig, deps: ServicesDeps): KeptServices {
  if (config['services-wake']) return keepAllowed(config, deps);
  if (config['services-default'] === 'wake')
    throw new UsageError('--services-default=wake is not allowed beside --services-wake=false; use ignore');
  return { heard: () => undefined, stop: async () => undefined };
}

function keepAllowed(config: ServicesConfig, deps: ServicesDeps): KeptServices {
  const { nats, isLeader, isSynced, now, log, world } = deps;
  const watches: Watched[] = [];
  const areSynced = () => isSynced() && watches.every((watch) => watch.isSynced);
  const name = config['services-owner'];
  const owner = followOwner({ name, read: () => readOwner(deps.clients, name), now, log });
  const ports = portRange(config);
  const shown = { isLeader, counts: () => keeper.counts, freePorts: () => keeper.freePorts };
  const writes = registerSliceMetrics(deps.registry, shown);
  const writer = new SliceWriter({
    api: createSliceApi(deps.clients),
    onWritten: (slice) => keeper.onSlice(slice),
    onGone: (key) => keeper.onSliceGone(key),
    onWrite: (verb, isDone) => writes.inc({ verb, result: isDone ? 'done' : 'failed' }),
    now,
    log,
  });
  const keeper: ServiceKeeper = new ServiceKeeper({
    world,
    ports,
    writes: writer,
    installation: config.namespace,
    owner,
    mayAct: () => isLeader() && areSynced(),
    mayMissReports: mayMissReports(nats, now),
    faults: deps.faults,
    onFaultsChanged: deps.onFaultsChanged,
    now,
  });
  watches.push(...watchServices(config, deps, keeper));
  const timer = setInterval(() => {
    writer.refill();
    keeper.pass();
  }, PASS_MS);
  return {
    heard: (message) => keeper.heard(message),
    async stop() {
      clearInterval(timer);
      await Promise.all(watches.map((watch) => watch.stop()));
    },
  };
}

function portRange(config: ServicesConfig): PortRange {
  const { 'services-ports-first': first, 'services-ports-last': last } = config;
  if (first > last)
    throw new UsageError(`--services-ports-first ${first} is above --services-ports-last ${last}`);
  return new PortRange(first, last);
}

/** Whether a proxy that has said nothing may be there all the same: NATS is away, or was a moment ago. */
function mayMissReports(nats: ServicesDeps['nats'], now: () => number): () => boolean {
  let sinceMs = now();
  nats.onStatus((isConnected) => {
    if (isConnected) sinceMs = now();
  });
  return () => !nats.isConnected || nats.othersBackInMs > 0 || now() - sinceMs < HEARD_MS;
}

function watchServices(config: ServicesConfig, deps: ServicesDeps, keeper: ServiceKeeper): Watched[] {
  const { clients, log, onFailed } = deps;
  const scopes = config.namespaces.length > 0 ? config.namespaces : [undefined];
  const labelSelector = wakeSliceSelector(config.namespace);
  return [
    ...scopes.flatMap((namespace) => {
      const { path, list } = listedIn(clients, namespace).endpointSlices;
      return [
        watchResource<V1Service>(
          clients.config,
          servicesIn(clients, namespace),
          { onSet: (object) => keeper.onService(object), onDelete: (object) => keeper.onServiceGone(object) },
          { path: listPath('/api/v1', namespace, 'services'), log, onFailed },
        ),
        watchResource<V1EndpointSlice>(
          clients.config,
          list,
          {
            onSet: (object) => keeper.onSlice(object),
            onDelete: (object) => keeper.onSliceGone(functionKey(idOf(object))),
          },
          { path, labelSelector, log, onFailed },
        ),
      ];
    }),
    watchProxies(config, deps, keeper),
  ];
}

function watchProxies({ namespace }: ServicesConfig, deps: ServicesDeps, keeper: ServiceKeeper): Watched {
  const { clients, log, onFailed } = deps;
  const { path, list } = listedIn(clients, namespace).pods;
  return watchResource<V1Pod>(
    clients.config,
    list,
    { onSet: (pod) => keeper.onProxy(pod), onDelete: (pod) => keeper.onProxyGone(pod) },
    { path, labelSelector: PROXY_LABELS, log, onFailed },
  );
}

function servicesIn({ core }: ScalerClients, namespace: string | undefined) {
  return (page: PageRequest) =>
    namespace === undefined
      ? core.listServiceForAllNamespaces(page)
      : core.listNamespacedService({ namespace, ...page });
}
