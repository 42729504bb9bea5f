/** A controller's two watches: its own objects, and the pods that they control. Both put the object into its queue. */
import type { ClusterApi } from '../../api/objects/types.ts';
import type { Workqueue } from '../workqueue.ts';
import { controllerOf, objectKey } from './objects.ts';

/** @returns the queue, whose stop ends the watches first */
export function followOwners(
  api: Pick<ClusterApi, 'watch'>,
  queue: Workqueue,
  { resource, kind }: { resource: string; kind: string },
): Workqueue {
  const unwatchOwners = api.watch(resource, (type, owner) => {
    if (type !== 'DELETED') queue.add(objectKey(owner));
  });
  const unwatchPods = api.watch('pods', (_type, pod) => {
    const owner = controllerOf(pod);
    if (owner?.kind === kind) queue.add(`${pod.metadata.namespace}/${owner.name}`);
  });
  return {
    ...queue,
    async stop() {
      unwatchOwners();
      unwatchPods();
      await queue.stop();
    },
  };
}
