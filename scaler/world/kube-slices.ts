/** EndpointSlices and their owner, at the Kubernetes API: the only way on which the scaler leads callers anywhere. */
import type { V1EndpointSlice, V1OwnerReference } from '../../common/kube/client.ts';
import { within } from '../../common/kube/within.ts';
import { FIELD_MANAGER, REQUEST_TIMEOUT_MS, type ScalerClients } from './kube.ts';

export interface SliceApi {
  create(body: V1EndpointSlice): Promise<V1EndpointSlice>;
  /** @throws 409 when it is not what `body.metadata.resourceVersion` says */
  replace(body: V1EndpointSlice): Promise<V1EndpointSlice>;
  /** Only the very one of that uid. */
  remove(slice: { namespace: string; name: string; uid: string }): Promise<void>;
}

export function createSliceApi({ discovery }: Pick<ScalerClients, 'discovery'>): SliceApi {
  const inTime = within(REQUEST_TIMEOUT_MS);
  const fieldManager = FIELD_MANAGER;
  const named = (body: V1EndpointSlice) => ({
    namespace: body.metadata?.namespace ?? '',
    name: body.metadata?.name ?? '',
  });
  return {
    create: (body) =>
      discovery.createNamespacedEndpointSlice(
        { namespace: named(body).namespace, body, fieldManager },
        inTime,
      ),
    replace: (body) =>
      discovery.replaceNamespacedEndpointSlice({ ...named(body), body, fieldManager }, inTime),
    async remove({ namespace, name, uid }) {
      const request = { namespace, name, body: { preconditions: { uid } } };
      await discovery.deleteNamespacedEndpointSlice(request, inTime);
    },
  };
}

/** The installation's ClusterRole: what it owns goes when it goes. */
export async function readOwner(
  { rbac }: Pick<ScalerClients, 'rbac'>,
  name: string,
): Promise<V1OwnerReference> {
  const { metadata } = await rbac.readClusterRole({ name }, within(REQUEST_TIMEOUT_MS));
  return { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name, uid: metadata?.uid ?? '' };
}
