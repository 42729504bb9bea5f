/**
 * Pods that are no function's and ask to be scraped (an exporter, a queue, our own proxies), for queries that look at
 * their metrics. Kubernetes cannot select by annotation, so this follows all pods: only from the first query on.
 */
import { isIPv6 } from 'node:net';
import type { V1Pod } from '../common/kube/client.ts';
import { firstContainerPort } from '../common/kube/function-info.ts';
import type { PageRequest } from '../common/kube/lists.ts';
import {
  watchResource,
  type OnFailedObject,
  type WatchHandlers,
  type Watched,
} from '../common/kube/watched.ts';
import type { Running } from '../common/lifecycle.ts';
import type { Log } from '../common/log.ts';
import { FUNCTION_LABEL } from '../common/names.ts';
import type { ScalerClients } from './kube.ts';
import { scrapeHint } from './scrape-targets.ts';
import type { ScrapeTarget } from './scraper.ts';

export interface ScrapePods extends Running {
  /** A query is in use. */
  follow(): void;
  readonly targets: Iterable<ScrapeTarget>;
}

/** @param watch follows all pods, from when it is called */
export function createScrapePods(watch: (handlers: WatchHandlers<V1Pod>) => readonly Watched[]): ScrapePods {
  const targets = new Map<string, ScrapeTarget>();
  let watches: readonly Watched[] = [];
  const keyOf = ({ metadata }: V1Pod) => `${metadata?.namespace}/${metadata?.name}`;
  return {
    targets: { [Symbol.iterator]: () => targets.values() },
    follow() {
      if (watches.length > 0) return;
      watches = watch({
        onSet(pod) {
          const target = targetOf(pod);
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
function targetOf(pod: V1Pod): ScrapeTarget | undefined {
  const { metadata, spec, status } = pod;
  const labels = metadata?.labels ?? {};
  // Functions' pods are scraped as such; what a scaler says, the leader knows first-hand and would count twice.
  const isOwn =
    labels['app.kubernetes.io/name'] === 'slimfaas' && labels['app.kubernetes.io/component'] === 'scaler';
  if (labels[FUNCTION_LABEL] !== undefined || isOwn) return undefined;
  const hint = scrapeHint(metadata?.annotations);
  const port = hint?.port ?? firstContainerPort(spec);
  if (!hint || port === undefined || status?.phase !== 'Running' || !status.podIP) return undefined;
  const host = isIPv6(status.podIP) ? `[${status.podIP}]` : status.podIP;
  return {
    url: `http://${host}:${port}${hint.path}`,
    labels: { namespace: metadata?.namespace ?? '', pod: metadata?.name ?? '' },
  };
}
