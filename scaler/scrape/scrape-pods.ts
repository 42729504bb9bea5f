/**
 * Pods that are no function's and ask to be scraped (an exporter, a queue, our own proxies), for queries that look at
 * their metrics. Kubernetes cannot select by annotation, so this follows all pods: only from the first query on.
 */
import { isIPv6 } from 'node:net';
import type { V1Pod } from '../../common/kube/client.ts';
import { firstContainerPort } from '../../common/kube/model/app-port.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import { readPod } from '../../common/kube/model/pod.ts';
import type { PageRequest } from '../../common/kube/lists.ts';
import {
  watchResource,
  type OnFailedObject,
  type WatchHandlers,
  type Watched,
} from '../../common/kube/watched.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import { FUNCTION_LABEL } from '../../common/function/names.ts';
import type { ScalerClients } from '../world/kube.ts';
import type { ScrapeTarget } from './scrape-targets.ts';
import { scrapeHint } from '../../common/kube/model/scrape-hint.ts';

export interface ScrapePods extends Running {
  /** A query is in use. */
  follow(): void;
  readonly targets: Iterable<ScrapeTarget>;
}

/**
 * @param watch follows all pods, from when it is called
 * @param systemNamespace where our own parts run: a pod elsewhere cannot pass for one of them
 */
export function createScrapePods(
  watch: (handlers: WatchHandlers<V1Pod>) => readonly Watched[],
  systemNamespace: string,
): ScrapePods {
  const targets = new Map<string, ScrapeTarget>();
  let watches: readonly Watched[] = [];
  const keyOf = (pod: V1Pod) => functionKey(idOf(pod));
  return {
    targets: { [Symbol.iterator]: () => targets.values() },
    follow() {
      if (watches.length > 0) return;
      watches = watch({
        onSet(pod) {
          const target = targetOf(pod, systemNamespace);
          if (target) targets.set(keyOf(pod), target);
          else targets.delete(keyOf(pod));
        },
        onDelete: (pod) => void targets.delete(keyOf(pod)),
      });
    },
    async stop() {
      await Promise.all(watches.map((each) => each.stop()));
    },
  };
}

/** In the given namespaces, or (none given) in all. */
export function watchAllPods(
  { config, core }: ScalerClients,
  namespaces: readonly string[],
  { log, onFailed }: { log: Log; onFailed: OnFailedObject },
): (handlers: WatchHandlers<V1Pod>) => readonly Watched[] {
  return (handlers) => {
    if (namespaces.length === 0) {
      const list = (page: PageRequest) => core.listPodForAllNamespaces(page);
      return [watchResource<V1Pod>(config, list, handlers, { path: '/api/v1/pods', log, onFailed })];
    }
    return namespaces.map((namespace) => {
      const list = (page: PageRequest) => core.listNamespacedPod({ namespace, ...page });
      return watchResource<V1Pod>(config, list, handlers, {
        path: `/api/v1/namespaces/${namespace}/pods`,
        log,
        onFailed,
      });
    });
  };
}

/** Undefined for pods that do not ask, that do not run, and that are known in another way. */
function targetOf(object: V1Pod, systemNamespace: string): ScrapeTarget | undefined {
  const hint = scrapeHint(object.metadata?.annotations);
  if (!hint) return undefined;
  const pod = readPod(object);
  if (!pod?.isRunning || pod.ip === undefined) return undefined;
  const { namespace, name, labels, ip } = pod;
  const isOurs = labels['app.kubernetes.io/name'] === 'slimfaas' && namespace === systemNamespace;
  // Functions' pods are scraped as such; what a scaler says, the leader knows first-hand and would count twice.
  if (labels[FUNCTION_LABEL] !== undefined) return undefined;
  if (isOurs && labels['app.kubernetes.io/component'] === 'scaler') return undefined;
  const port = hint.port ?? firstContainerPort(object.spec);
  if (port === undefined) return undefined;
  return {
    url: `http://${isIPv6(ip) ? `[${ip}]` : ip}:${port}${hint.path}`,
    labels: { namespace, pod: name },
    owner: `pod ${namespace}/${name}`,
    kind: isOurs ? 'system' : 'other',
  };
}
