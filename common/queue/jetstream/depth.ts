/**
 * How many jobs each function has, from one request per tick to JetStream, whatever the number of functions:
 * the jobs stream counts its messages by subject. Running and waiting-for-retry are what the function's own
 * consumer has delivered and not seen acknowledged; it is asked only for functions that have jobs at all.
 */
import type { JobDepth } from '../upkeep.ts';
import type { CallbackRoom, StoreRoom } from '../room.ts';
import { BODIES_STREAM, CALLBACKS_STREAM, JOBS_STREAM } from './streams.ts';
import { functionKey, parseFunctionSubject } from '../../bus/subjects.ts';
import { absentIf, CONSUMER_NOT_FOUND, type JetStreamManager, type StreamInfo } from './library.ts';
import { consumerName } from './names.ts';

/** `namespace/name` → depth; a function without jobs is not listed. @throws NatsError */
export async function readJobDepths(jsm: JetStreamManager): Promise<Map<string, JobDepth>> {
  const info = await jsm.streams.info(JOBS_STREAM, JOBS);
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
    isOpen: info !== undefined,
  };
}

/** How full the streams of jobs and of large bodies are; undefined: without a bound. */
export async function readRoom(jsm: JetStreamManager): Promise<StoreRoom> {
  const [all, bodies] = await Promise.all([jsm.streams.info(JOBS_STREAM), jsm.streams.info(BODIES_STREAM)]);
  const bounds = { inline: boundOf(all), stored: boundOf(bodies) };
  // A NATS of the operator's own has none by default: then nobody asks whose jobs they are.
  if (!bounds.inline && !bounds.stored) return { ...bounds, jobs: new Map() };
  return { ...bounds, jobs: countByFunction(await jsm.streams.info(JOBS_STREAM, JOBS)) };
}

export async function readCallbackRoom(jsm: JetStreamManager): Promise<CallbackRoom> {
  const info = await jsm.streams.info(CALLBACKS_STREAM, { subjects_filter: 'slimfaas.callback.>' });
  const { max_msgs } = info.config;
  return {
    all: { results: info.state.messages, bytes: info.state.bytes },
    bounds: { results: max_msgs > 0 ? max_msgs : undefined, bytes: boundOf(info)?.maxBytes },
    results: countByFunction(info),
  };
}

const JOBS = { subjects_filter: 'slimfaas.job.>' };

function countByFunction({ state }: StreamInfo): Map<string, number> {
  const counted = new Map<string, number>();
  for (const [subject, count] of Object.entries(state.subjects ?? {})) {
    const parsed = parseFunctionSubject(subject);
    if (parsed) counted.set(functionKey(parsed.id), count);
  }
  return counted;
}

function boundOf({ config, state }: StreamInfo): { bytes: number; maxBytes: number } | undefined {
  return config.max_bytes > 0 ? { bytes: state.bytes, maxBytes: config.max_bytes } : undefined;
}
