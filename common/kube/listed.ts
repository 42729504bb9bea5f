/** What parts list and then watch: each resource's path, with the call that lists a page of it there. */
import type { CoreV1Event, KubernetesListObject, KubernetesObject } from '@kubernetes/client-node';
import type { KubeClients, V1Deployment, V1EndpointSlice, V1Pod, V1StatefulSet } from './client.ts';
import type { PageRequest } from './lists.ts';

export interface ListedResource<T extends KubernetesObject> {
  /** As the API writes it: `/apis/apps/v1/deployments`, `/api/v1/namespaces/x/pods`. */
  readonly path: string;
  readonly list: (page: PageRequest) => Promise<KubernetesListObject<T>>;
}

export interface ListedResources {
  readonly deployments: ListedResource<V1Deployment>;
  readonly statefulSets: ListedResource<V1StatefulSet>;
  readonly pods: ListedResource<V1Pod>;
  readonly events: ListedResource<CoreV1Event>;
  readonly endpointSlices: ListedResource<V1EndpointSlice>;
}

/** @param namespace undefined: all */
export function listedIn(
  { apps, core, discovery }: Pick<KubeClients, 'apps' | 'core' | 'discovery'>,
  namespace: string | undefined,
): ListedResources {
  const path = (api: string, resource: string): string => listPath(api, namespace, resource);
  const paths = {
    deployments: path('/apis/apps/v1', 'deployments'),
    statefulSets: path('/apis/apps/v1', 'statefulsets'),
    pods: path('/api/v1', 'pods'),
    events: path('/api/v1', 'events'),
    endpointSlices: path('/apis/discovery.k8s.io/v1', 'endpointslices'),
  };
  if (namespace === undefined)
    return {
      deployments: { path: paths.deployments, list: (page) => apps.listDeploymentForAllNamespaces(page) },
      statefulSets: { path: paths.statefulSets, list: (page) => apps.listStatefulSetForAllNamespaces(page) },
      pods: { path: paths.pods, list: (page) => core.listPodForAllNamespaces(page) },
      events: { path: paths.events, list: (page) => core.listEventForAllNamespaces(page) },
      endpointSlices: {
        path: paths.endpointSlices,
        list: (page) => discovery.listEndpointSliceForAllNamespaces(page),
      },
    };
  return {
    deployments: {
      path: paths.deployments,
      list: (page) => apps.listNamespacedDeployment({ namespace, ...page }),
    },
    statefulSets: {
      path: paths.statefulSets,
      list: (page) => apps.listNamespacedStatefulSet({ namespace, ...page }),
    },
    pods: { path: paths.pods, list: (page) => core.listNamespacedPod({ namespace, ...page }) },
    events: { path: paths.events, list: (page) => core.listNamespacedEvent({ namespace, ...page }) },
    endpointSlices: {
      path: paths.endpointSlices,
      list: (page) => discovery.listNamespacedEndpointSlice({ namespace, ...page }),
    },
  };
}

/** @param namespace undefined: all */
export function listPath(api: string, namespace: string | undefined, resource: string): string {
  return namespace === undefined ? `${api}/${resource}` : `${api}/namespaces/${namespace}/${resource}`;
}
