/** What {@link JobBytes} hears of the ends of jobs: their records, as the sidecars write them, and JetStream's count. */
import { isFinalState } from '../../common/queue/state.ts';
import { JOBS_STREAM } from '../../common/queue/jetstream/streams.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import {
  consumerName,
  everyResult,
  functionSubject,
  parseResultSubject,
  type FunctionId,
} from '../../common/bus/subjects.ts';
import type { JobBytes } from './accepting/job-bytes.ts';

/** Returns its release. */
export function listenToEnds(nats: NatsLink, bytes: JobBytes): () => void {
  return nats.subscribe(everyResult(), (subject, data) => {
    const job = isFinalState(data) ? parseResultSubject(subject) : undefined;
    if (job) bytes.ended(job.id, job.sequence);
  });
}

/** No job at all: everything is done. Else what the function's consumer has seen acknowledged without a gap. */
export async function doneUpTo(nats: NatsLink, id: FunctionId): Promise<number> {
  const jsm = await nats.connection?.jetstreamManager({ checkAPI: false });
  if (!jsm) return 0;
  const subject = functionSubject('job', id);
  const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: subject });
  if ((state.subjects?.[subject] ?? 0) === 0) return state.last_seq;
  return (await jsm.consumers.info(JOBS_STREAM, consumerName(id))).ack_floor.stream_seq;
}
