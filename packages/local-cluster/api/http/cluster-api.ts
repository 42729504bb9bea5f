/**
 * The API for the rooms of this process. It is the same registry as over HTTPS, with the control plane's rights and
 * without the network. So faults that cut the network leave controllers and kubelet at work.
 */
import { describeError } from '../../../../common/runtime/errors.ts';
import type { Log } from '../../../../common/runtime/log.ts';
import { deleteObject } from '../objects/deletion.ts';
import { evictPod } from '../verbs/eviction.ts';
import { ApiError } from '../objects/api-errors.ts';
import { kindOf } from '../objects/kinds.ts';
import { IN_PROCESS } from '../objects/request.ts';
import type { Registry } from '../objects/registry.ts';
import type { ApiTarget } from '../objects/request.ts';
import { objectMatcher } from '../objects/selectors.ts';
import type { ClusterApi, KubeObject } from '../objects/types.ts';

/** Namespaced kinds need one; the others ignore it. */
function target(resource: string, namespace: string | undefined, name: string): ApiTarget {
  const kind = kindOf(resource);
  return { kind, name, namespace: kind.isNamespaced ? (namespace ?? 'default') : undefined };
}

type Key = [resource: string, namespace: string | undefined, name: string];

function keyOf(resource: string, namespace: string | undefined, name: string): Key {
  return [resource, target(resource, namespace, name).namespace, name];
}

export function createClusterApi(registry: Registry, log: Log): ClusterApi {
  const { store } = registry;
  return {
    get: (resource, namespace, name) => store.get(...keyOf(resource, namespace, name)),

    list(resource, { namespace, labelSelector, fieldSelector } = {}) {
      const objects = store.list(kindOf(resource).resource, namespace);
      const matcher = objectMatcher(resource, labelSelector, fieldSelector);
      return matcher === undefined ? objects : objects.filter(matcher);
    },

    create: (resource, object) => registry.create(kindOf(resource), object, IN_PROCESS),

    update(resource, object, subresource) {
      const at = target(resource, object.metadata.namespace, object.metadata.name);
      return registry.update({ ...at, subresource }, () => structuredClone(object), IN_PROCESS);
    },

    // A Conflict never reaches the caller: `change` carries no version of its own.
    async modify(resource, namespace, name, change, subresource) {
      const edit = (draft: KubeObject) => (change(draft) === false ? false : draft);
      try {
        return await registry.update({ ...target(resource, namespace, name), subresource }, edit, IN_PROCESS);
      } catch (error) {
        if (error instanceof ApiError && error.code === 404) return undefined;
        throw error;
      }
    },

    async delete(resource, namespace, name, { gracePeriodSeconds, uid } = {}) {
      deleteObject(store, target(resource, namespace, name), {
        ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
        ...(uid === undefined ? {} : { preconditions: { uid } }),
      });
    },

    async evict(namespace, pod) {
      evictPod(store, target('pods', namespace, pod), {});
    },

    watch: (resource, listener) => watchStore(registry, { resource, listener, log }),
  };
}

interface WatchOrder {
  readonly resource: string;
  readonly listener: Parameters<ClusterApi['watch']>[1];
  readonly log: Log;
}

/** The store's listeners must not throw, since they run inside somebody else's write; rooms may have bugs. */
function watchStore({ store }: Registry, { resource, listener, log }: WatchOrder): () => void {
  const tell: typeof listener = (type, object, previous) => {
    try {
      listener(type, object, previous);
    } catch (error) {
      log.error({ resource, error: describeError(error) }, 'a watch listener failed');
    }
  };
  for (const object of store.list(kindOf(resource).resource)) tell('ADDED', object, undefined);
  return store.subscribe(resource, (event) => tell(event.type, event.object, event.previous));
}
