/**
 * The object that owns the EndpointSlices, so that Kubernetes deletes them with the installation. It is read when it is
 * first needed, and again while it is needed. If it was deleted and made again it has another uid. Kubernetes deletes
 * slices that name an owner of a uid that is gone.
 */
import type { V1OwnerReference } from '../../common/kube/client.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { SliceOwner } from './service-keeper.ts';

const AGAIN_MS = 10_000;

export interface OwnerOptions {
  /** The name of the ClusterRole; '': nothing owns the slices. */
  readonly name: string;
  readonly read: () => Promise<V1OwnerReference>;
  readonly now: () => number;
  readonly log: Log;
}

/** @returns what is known now; nobody waits for it */
export function followOwner({ name, read, now, log }: OwnerOptions): () => SliceOwner {
  let known: V1OwnerReference | 'unreadable' | undefined;
  let askedMs = -Infinity;
  const onError = (error: unknown): void => {
    // An API server that is away says nothing of the owner.
    if (known === undefined || isRefusal(error)) known = 'unreadable';
    log.error(
      { clusterRole: name, error: describeError(error) },
      'the owner of EndpointSlices cannot be read',
    );
  };
  return () => {
    if (name === '') return 'none';
    if (now() - askedMs >= AGAIN_MS) {
      askedMs = now();
      void read().then((owner) => void (known = owner), onError);
    }
    return known;
  };
}

/** The API server said that it is not there, or that it may not be read. */
function isRefusal(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === 403 || code === 404;
}
