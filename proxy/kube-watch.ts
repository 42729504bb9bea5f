/**
 * The proxy's one adapter to Kubernetes: Deployments, StatefulSets and pods of its namespaces, watched and
 * handed on. When the API is away, what was known last stays: nothing here forgets by itself.
 */
import type { V1Deployment, V1Pod, V1StatefulSet, KubeClients } from '../common/kube/client.ts';
import type { PageRequest } from '../common/kube/lists.ts';
import { watchResource, type Watched } from '../common/kube/watched.ts';
import type { Log } from '../common/log.ts';
import type { FunctionId } from '../common/subjects.ts';
import { viewWorkload, type FunctionView } from './function-view.ts';
import { viewPod, type PodView } from './pod-view.ts';

export interface WatchTargets {
  setFunction(view: FunctionView): void;
  removeFunction(kind: FunctionView['kind'], id: FunctionId): void;
  setPod(view: PodView): void;
  deletePod(namespace: string, name: string): void;
}

export interface KubeWatch {
  /** What is not up: `deployments`, `pods in shop` … */
  readonly missing: readonly string[];
  /** True once everything was listed once. */
  readonly wasSynced: boolean;
  stop(): Promise<void>;
}

interface Source {
  readonly name: string;
  readonly watched: Watched;
  wasSynced: boolean;
}

export interface KubeWatchOptions {
  readonly kube: KubeClients;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly targets: WatchTargets;
  readonly log: Log;
}

export function watchKube(options: KubeWatchOptions): KubeWatch {
  const scopes = options.namespaces.length === 0 ? [undefined] : options.namespaces;
  const sources = scopes.flatMap((namespace) => [
    watchWorkloads('Deployment', namespace, options),
    watchWorkloads('StatefulSet', namespace, options),
    watchPods(namespace, options),
  ]);
  return {
    get missing() {
      return sources.filter((source) => !source.watched.isSynced).map((source) => source.name);
    },
    get wasSynced() {
      return sources.every((source) => source.wasSynced);
    },
    async stop() {
      await Promise.all(sources.map((source) => source.watched.stop()));
    },
  };
}

function watchWorkloads(
  kind: 'Deployment' | 'StatefulSet',
  namespace: string | undefined,
  { kube, targets, log }: KubeWatchOptions,
): Source {
  const lists = {
    Deployment: (page: PageRequest) =>
      namespace === undefined
        ? kube.apps.listDeploymentForAllNamespaces(page)
        : kube.apps.listNamespacedDeployment({ namespace, ...page }),
    StatefulSet: (page: PageRequest) =>
      namespace === undefined
        ? kube.apps.listStatefulSetForAllNamespaces(page)
        : kube.apps.listNamespacedStatefulSet({ namespace, ...page }),
  };
  const resource = `${kind.toLowerCase()}s`;
  const drop = (workload: V1Deployment | V1StatefulSet): void => {
    const { name, namespace: ns } = workload.metadata ?? {};
    if (name && ns) targets.removeFunction(kind, { namespace: ns, name });
  };
  const handlers = {
    onSet(workload: V1Deployment | V1StatefulSet) {
      const view = viewWorkload(kind, workload);
      if (view) targets.setFunction(view);
      else drop(workload);
    },
    onDelete: drop,
  };
  return source(resource, namespace, (onSynced) =>
    watchResource<V1Deployment | V1StatefulSet>(
      kube.config,
      lists[kind],
      { ...handlers, onSynced },
      { path: `/apis/apps/v1${scopePath(namespace)}/${resource}`, log },
    ),
  );
}

function watchPods(namespace: string | undefined, { kube, targets, log }: KubeWatchOptions): Source {
  // All of them, not only functions': a caller is inside the cluster if its address is a pod's.
  const list = (page: PageRequest) =>
    namespace === undefined
      ? kube.core.listPodForAllNamespaces(page)
      : kube.core.listNamespacedPod({ namespace, ...page });
  const handlers = {
    onSet(pod: V1Pod) {
      const view = viewPod(pod);
      if (view) targets.setPod(view);
    },
    onDelete(pod: V1Pod) {
      targets.deletePod(pod.metadata?.namespace ?? '', pod.metadata?.name ?? '');
    },
  };
  return source('pods', namespace, (onSynced) =>
    watchResource<V1Pod>(
      kube.config,
      list,
      { ...handlers, onSynced },
      { path: `/api/v1${scopePath(namespace)}/pods`, log },
    ),
  );
}

function source(
  resource: string,
  namespace: string | undefined,
  start: (onSynced: (isSynced: boolean) => void) => Watched,
): Source {
  const name = namespace === undefined ? resource : `${resource} in ${namespace}`;
  const made = { name, wasSynced: false };
  const watched = start((isSynced) => {
    made.wasSynced ||= isSynced;
  });
  return Object.assign(made, { watched });
}

function scopePath(namespace: string | undefined): string {
  return namespace === undefined ? '' : `/namespaces/${namespace}`;
}
