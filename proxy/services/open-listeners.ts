/** The listeners for Services, put together: the watch that opens them, what is said of them on NATS, and their metrics. */
import { SERVICE_PORTS_SUBJECT, encodeServicePorts } from '../../common/bus/service-ports.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { KubeClients, V1EndpointSlice } from '../../common/kube/client.ts';
import { listedIn } from '../../common/kube/listed.ts';
import { readWakeSlice, wakeSliceSelector } from '../../common/kube/wake-slice.ts';
import { watchResource, type OnFailedObject, type Watched } from '../../common/kube/watched.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Registry } from '../../common/runtime/metrics.ts';
import { every, type Clock } from '../clock.ts';
import type { EdgeListener } from '../edge/listener.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { ProxyMetrics } from '../metrics/proxy-metrics.ts';
import { ServiceListeners } from './service-listeners.ts';
import { registerServiceMetrics } from './service-metrics.ts';

const REPEAT_MS = 1_000;

export interface OpenListenersConfig {
  readonly host: string;
  readonly namespace: string;
  readonly namespaces: readonly string[];
  readonly 'pod-name': string;
  readonly 'services-connections': number;
  readonly 'services-lame-duck': number;
}

export interface OpenListenersDeps {
  readonly kube: KubeClients;
  readonly nats: Pick<NatsLink, 'publish' | 'onStatus'>;
  readonly registry: Registry;
  readonly table: { get(id: FunctionId): FunctionEntry | undefined };
  /** It knows its functions and pods. */
  readonly watch: { readonly wasSynced: boolean };
  readonly metrics: Pick<ProxyMetrics, 'limited'>;
  readonly onFailed: OnFailedObject;
  readonly clock: Clock;
  readonly log: Log;
}

export interface OpenListeners {
  readonly listener: EdgeListener;
  stop(): Promise<void>;
}

export function openServiceListeners(config: OpenListenersConfig, deps: OpenListenersDeps): OpenListeners {
  const { nats, table, watch, metrics, clock, log } = deps;
  const ended = registerServiceMetrics(deps.registry, () => listeners);
  const say = (): void => {
    const message = { pod: config['pod-name'], ports: listeners.openPorts };
    if (watch.wasSynced) nats.publish(SERVICE_PORTS_SUBJECT, encodeServicePorts(message));
  };
  // Thousands of ports open in one turn: said once.
  let isDue = false;
  const onChange = (): void => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      say();
    });
  };
  const listeners: ServiceListeners = new ServiceListeners({
    host: config.host,
    maxConnections: config['services-connections'],
    lingerMs: config['services-lame-duck'] * 1_000,
    find: (id) => table.get(id),
    onChange,
    onEnd: (result) => ended.inc({ result }),
    onLimited: () => metrics.limited('connections'),
    clock,
    log,
  });
  const watches = watchSlices(config, deps, listeners);
  const unwatch = nats.onStatus((isConnected) => {
    if (isConnected) say();
  });
  const cancel = every(clock, REPEAT_MS, say);
  return {
    listener: listeners.listener,
    async stop() {
      cancel();
      unwatch();
      await Promise.all(watches.map((watch) => watch.stop()));
    },
  };
}

function watchSlices(
  { namespace: installation, namespaces }: OpenListenersConfig,
  { kube, log, onFailed }: OpenListenersDeps,
  listeners: ServiceListeners,
): Watched[] {
  const labelSelector = wakeSliceSelector(installation);
  const remove = ({ metadata }: V1EndpointSlice): void =>
    listeners.removeSlice(metadata?.namespace ?? '', metadata?.name ?? '');
  const onSet = (object: V1EndpointSlice): void => {
    const slice = readWakeSlice(object);
    if (slice) listeners.setSlice(slice);
    else remove(object);
  };
  return (namespaces.length === 0 ? [undefined] : namespaces).map((namespace) => {
    const { path, list } = listedIn(kube, namespace).endpointSlices;
    return watchResource<V1EndpointSlice>(
      kube.config,
      list,
      { onSet, onDelete: remove },
      { path, labelSelector, log, onFailed },
    );
  });
}
