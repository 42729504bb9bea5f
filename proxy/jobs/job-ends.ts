/** What {@link JobBytes} hears of the ends of jobs: their records, as the sidecars write them, and the queue's count. */
import { isFinalState } from '../../common/queue/state.ts';
import type { QueueLink } from '../../common/queue/queue.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { JobBytes } from './accepting/job-bytes.ts';

/** Returns its release. */
export function listenToEnds(queue: QueueLink, bytes: JobBytes): () => void {
  return queue.watch(undefined, ({ id, sequence }, state) => {
    if (isFinalState(state)) bytes.ended(id, sequence);
  });
}

export async function doneUpTo({ live }: QueueLink, id: FunctionId): Promise<number> {
  return (await live?.doneUpTo(id)) ?? 0;
}
