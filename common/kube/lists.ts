/**
 * Lists of any length without holding them whole as Kubernetes writes them: fetched in pages, and stripped of what no
 * part reads. An informer then keeps only the identity of an object. Callers have their own, small records: a pod is
 * 10 KB and more, of which a proxy wants 200 bytes, and a cluster has tens of thousands.
 */
import type { KubernetesListObject, KubernetesObject } from '@kubernetes/client-node';

/** As many as kubectl asks for at a time. */
const PAGE_LIMIT = 500;

export interface PageRequest {
  readonly limit: number;
  readonly _continue?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/**
 * One list out of its pages, all of them as of the first one's resourceVersion.
 * @param fetchPage as the library's list methods take it; an expired continue token throws (410), as a list may
 */
export function inPages<T extends KubernetesObject>(
  fetchPage: (page: PageRequest) => Promise<KubernetesListObject<T>>,
): () => Promise<KubernetesListObject<T>> {
  return async () => {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page = await fetchPage({ limit: PAGE_LIMIT, ...(next ? { _continue: next } : {}) });
      for (const item of page.items) {
        // Who wrote which field: often half of an object, and read by nobody here.
        delete item.metadata?.managedFields;
        items.push(item);
      }
      next = page.metadata?._continue;
      if (!next) return { ...page, items };
    }
  };
}

/** What tells one object from another and whose it is; the rest goes, in place. */
export function keepIdentity(object: KubernetesObject): void {
  const { name, namespace, uid, resourceVersion, labels, ownerReferences } = object.metadata ?? {};
  for (const field of Object.keys(object)) delete (object as Record<string, unknown>)[field];
  object.metadata = Object.fromEntries(
    Object.entries({ name, namespace, uid, resourceVersion, labels, ownerReferences }).filter(
      ([, value]) => value !== undefined,
    ),
  );
}
