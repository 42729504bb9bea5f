/** ResourceQuota, of which only the number of pods is enforced; it counts pods that have not ended. */
import { forbidden } from '../objects/api-errors.ts';
import type { Kind } from '../objects/kinds.ts';
import type { Store } from '../objects/store.ts';
import type { KubeObject } from '../objects/types.ts';

/**
 * Nothing is awaited between this count and the pod's storing, so two pods cannot share the last place. The
 * message is a real cluster's: the scaler recognises it.
 */
export function checkQuota(store: Store, kind: Kind, pod: KubeObject): void {
  const { namespace, name } = pod.metadata;
  for (const quota of store.list('resourcequotas', namespace)) {
    for (const resource of ['pods', 'count/pods']) {
      const limit = quota.spec?.hard?.[resource] as string | undefined;
      if (limit === undefined) continue;
      const used = store.list('pods', namespace).filter((other) => counts(other, resource)).length;
      if (used + 1 <= Number(limit)) continue;
      const figures = `requested: ${resource}=1, used: ${resource}=${used}, limited: ${resource}=${limit}`;
      throw forbidden(kind, name, `exceeded quota: ${quota.metadata.name}, ${figures}`);
    }
  }
}

/** `count/pods` counts objects, `pods` those that still may run. */
function counts(pod: KubeObject, resource: string): boolean {
  return resource === 'count/pods' || !/^(Succeeded|Failed)$/.test(pod.status?.phase ?? '');
}
