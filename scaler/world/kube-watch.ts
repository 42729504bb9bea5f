/**
 * What the scaler hears from the Kubernetes API: workloads, the pods that carry the function label, and the
 * autoscalers of others, in some namespaces or in all. The client library is imported for its types only.
 */
import type { KubernetesObject, V2HorizontalPodAutoscaler } from '@kubernetes/client-node';
import type { WorkloadKind } from '../../common/function/spec.ts';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../../common/kube/client.ts';
import { watchCreationFailures, type CreationFailure } from '../../common/kube/creation-failures.ts';
import { listedIn, listPath, type ListedResource } from '../../common/kube/listed.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import { ownerKeyOf } from '../../common/kube/model/workload.ts';
import {
  watchResource,
  type OnFailedObject,
  type WatchHandlers,
  type Watched,
} from '../../common/kube/watched.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import { FUNCTION_LABEL } from '../../common/function/names.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { ScalerClients } from './kube.ts';
import type { Autoscaler } from './world.ts';

export interface ClusterHandlers {
  onWorkload(kind: WorkloadKind, object: V1Deployment | V1StatefulSet): void;
  onWorkloadGone(kind: WorkloadKind, key: string): void;
  onPod(object: V1Pod): void;
  onPodGone(object: V1Pod): void;
  /** A StatefulSet's pod could not be created. */
  onCreationFailure(failure: CreationFailure): void;
  onAutoscaler(autoscaler: Autoscaler): void;
  onAutoscalerGone(key: string): void;
  /** True while every watch that decisions rest on is in sync. */
  onSynced(isSynced: boolean): void;
  readonly onFailed: OnFailedObject;
}

/** Watches what decisions rest on, in the given namespaces or (none given) in all. */
export function watchCluster(
  clients: ScalerClients,
  namespaces: readonly string[],
  handlers: ClusterHandlers,
  log: Log,
): Running {
  const watches: Watched[] = [];
  let wasSynced = false;
  const required: Watched[] = [];
  const onSynced = () => {
    const isSynced = required.every((watch) => watch.isSynced);
    if (isSynced === wasSynced) return;
    wasSynced = isSynced;
    handlers.onSynced(isSynced);
  };
  for (const namespace of namespaces.length > 0 ? namespaces : [undefined]) {
    const scoped = watchNamespace(clients, namespace, { ...handlers, onSynced }, log);
    required.push(...scoped.required);
    watches.push(...scoped.required, ...scoped.others);
  }
  return {
    async stop() {
      await Promise.all(watches.map((watch) => watch.stop()));
    },
  };
}

type Handlers = ClusterHandlers & { onSynced(): void };

function watchNamespace(
  clients: ScalerClients,
  namespace: string | undefined,
  handlers: Handlers,
  log: Log,
): { required: Watched[]; others: Watched[] } {
  const { config } = clients;
  const { onFailed } = handlers;
  const listed = listedIn(clients, namespace);
  const onPod = {
    onSet: handlers.onPod,
    onDelete: handlers.onPodGone,
    onSynced: () => handlers.onSynced(),
  };
  const watch = <T extends KubernetesObject>(
    { list, path }: ListedResource<T>,
    on: WatchHandlers<T>,
    options: { readonly labelSelector?: string } = {},
  ): Watched => watchResource(config, list, on, { ...options, path, log, onFailed });
  return {
    required: [
      watch(listed.deployments, workloadHandlers('Deployment', handlers)),
      watch(listed.statefulSets, workloadHandlers('StatefulSet', handlers)),
      watch(listed.pods, onPod, { labelSelector: FUNCTION_LABEL }),
    ],
    others: [
      watch(autoscalersIn(clients, namespace), autoscalerHandlers(handlers)),
      watchCreationFailures({
        config,
        events: listed.events,
        onFailure: (failure) => handlers.onCreationFailure(failure),
        log,
        onFailed,
      }),
    ],
  };
}

function autoscalersIn(
  { autoscaling }: ScalerClients,
  namespace: string | undefined,
): ListedResource<V2HorizontalPodAutoscaler> {
  return {
    path: listPath('/apis/autoscaling/v2', namespace, 'horizontalpodautoscalers'),
    list: (page) =>
      namespace === undefined
        ? autoscaling.listHorizontalPodAutoscalerForAllNamespaces(page)
        : autoscaling.listNamespacedHorizontalPodAutoscaler({ namespace, ...page }),
  };
}

function workloadHandlers<T extends V1Deployment | V1StatefulSet>(
  kind: WorkloadKind,
  handlers: Handlers,
): WatchHandlers<T> {
  return {
    onSet: (object) => handlers.onWorkload(kind, object),
    onDelete: (object) => handlers.onWorkloadGone(kind, keyOf(object)),
    onSynced: () => handlers.onSynced(),
  };
}

function keyOf(object: KubernetesObject): string {
  return functionKey(idOf(object));
}

function autoscalerHandlers(handlers: Handlers): WatchHandlers<V2HorizontalPodAutoscaler> {
  return {
    onSet(object) {
      const found = autoscalerOf(object);
      if (found) handlers.onAutoscaler(found);
      else handlers.onAutoscalerGone(keyOf(object));
    },
    onDelete: (object) => handlers.onAutoscalerGone(keyOf(object)),
  };
}

function autoscalerOf(object: V2HorizontalPodAutoscaler): Autoscaler | undefined {
  const target = object.spec?.scaleTargetRef;
  if (target?.kind !== 'Deployment' && target?.kind !== 'StatefulSet') return undefined;
  const key = functionKey({ namespace: idOf(object).namespace, name: target.name });
  return {
    key: keyOf(object),
    ownerKey: ownerKeyOf(target.kind, key),
    minReplicas: object.spec?.minReplicas ?? 1,
  };
}
