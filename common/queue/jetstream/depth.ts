/**
 * How many jobs each function has, from one request a tick to JetStream, whatever the number of functions:
 * the jobs stream counts its messages by subject. Running and waiting-for-retry are what the function's own
 * consumer has delivered and not seen acknowledged; it is asked only for functions that have jobs at all.
 */
import { JOBS_STREAM } from './streams.ts';
import { consumerName, functionKey, parseFunctionSubject, type FunctionId } from '../../bus/subjects.ts';
import { absentIf, CONSUMER_NOT_FOUND, type JetStreamManager } from './library.ts';

export interface JobDepth {
  readonly id: FunctionId;
  /** Stored and not finished: queued, running or waiting for a retry. */
  readonly total: number;
  /** Not delivered yet. */
  readonly ready: number;
  /** Delivered: running, or waiting for a retry. */
  readonly delivered: number;
  /** False: its consumer is not there (yet, or somebody deleted it), so nobody runs them. */
  readonly hasConsumer: boolean;
  /** Jobs accepted since the stream began, for the message rate. */
  readonly lastSequence: number;
}

/** `namespace/name` → depth; a function without jobs is not listed. @throws NatsError */
export async function readJobDepths(jsm: JetStreamManager): Promise<Map<string, JobDepth>> {
  const info = await jsm.streams.info(JOBS_STREAM, { subjects_filter: 'slimfaas.job.>' });
  const counted = Object.entries(info.state.subjects ?? {});
  const depths = await Promise.all(counted.map(([subject, total]) => depthOf(jsm, subject, total)));
  const found = depths.filter((depth) => depth !== undefined);
  return new Map(found.map((depth) => [functionKey(depth.id), depth]));
}

async function depthOf(jsm: JetStreamManager, subject: string, total: number): Promise<JobDepth | undefined> {
  const parsed = parseFunctionSubject(subject);
  if (!parsed) return undefined;
  // No consumer yet (or no more): all of it is ready.
  const info = await jsm.consumers
    .info(JOBS_STREAM, consumerName(parsed.id))
    .catch(absentIf(CONSUMER_NOT_FOUND));
  const delivered = Math.min(total, info?.num_ack_pending ?? 0);
  return {
    id: parsed.id,
    total,
    ready: total - delivered,
    delivered,
    hasConsumer: info !== undefined,
    lastSequence: info?.delivered.stream_seq ?? 0,
  };
}
