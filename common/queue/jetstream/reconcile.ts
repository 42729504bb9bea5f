/**
 * The one owner of streams and consumers: brings what exists in JetStream to what the flags say. Runs in the
 * scaler's leader. Changing a setting updates what exists; what JetStream refuses to change (storage) is
 * reported with what to do, and what exists goes on being used.
 */
import { describeError } from '../../runtime/errors.ts';
import {
  callbacksConsumerConfig,
  CALLBACKS_STREAM,
  consumerConfig,
  JOBS_STREAM,
  streamConfigs,
} from './streams.ts';
import type { JobFunction } from '../upkeep.ts';
import type { Log } from '../../runtime/log.ts';
import { NatsError } from '../../bus/nats-library.ts';
import { type FunctionId } from '../../bus/subjects.ts';
import type { JobSettings } from '../settings.ts';
import {
  absentIf,
  CONSUMER_NOT_FOUND,
  type ConsumerConfig,
  type JetStreamManager,
  STREAM_NOT_FOUND,
  type StreamConfig,
} from './library.ts';
import { consumerName } from './names.ts';

/** Creates or updates every stream, and the one consumer that belongs to no function. @throws NatsError when JetStream does not answer */
export async function reconcileStreams(
  jsm: JetStreamManager,
  settings: JobSettings,
  log: Log,
): Promise<void> {
  for (const wanted of streamConfigs(settings)) await reconcileStream(jsm, wanted, log);
  await ensureConsumer(jsm, CALLBACKS_STREAM, callbacksConsumerConfig());
}

async function reconcileStream(
  jsm: JetStreamManager,
  wanted: Partial<StreamConfig>,
  log: Log,
): Promise<void> {
  const name = wanted.name as string;
  const current = await jsm.streams.info(name).catch(absentIf(STREAM_NOT_FOUND));
  if (!current) {
    await jsm.streams.add(wanted);
    log.info({ stream: name }, 'stream created');
    return;
  }
  const changed = Object.entries(wanted).filter(
    ([field, value]) => !isSame(valueOf(current.config, field), value),
  );
  if (changed.length === 0) return;
  const fields = changed.map(([field]) => field).join(', ');
  try {
    await jsm.streams.update(name, wanted);
    log.info({ stream: name, fields }, 'stream updated');
  } catch (error) {
    if (!(error instanceof NatsError) || error.api_error === undefined) throw error;
    log.error(
      { stream: name, fields, error: describeError(error) },
      'JetStream refuses this change; the old setting stays',
    );
  }
}

/** Creates or updates the consumer of one function. */
export async function reconcileConsumer(
  jsm: JetStreamManager,
  fn: JobFunction,
  settings: JobSettings,
): Promise<void> {
  await ensureConsumer(jsm, JOBS_STREAM, consumerConfig(fn.id, settings, fn.isOrdered));
}

async function ensureConsumer(
  jsm: JetStreamManager,
  stream: string,
  wanted: Partial<ConsumerConfig>,
): Promise<void> {
  const name = wanted.durable_name as string;
  const current = await jsm.consumers.info(stream, name).catch(absentIf(CONSUMER_NOT_FOUND));
  if (!current) await jsm.consumers.add(stream, wanted);
  else if (Object.entries(wanted).some(([field, value]) => !isSame(valueOf(current.config, field), value))) {
    await jsm.consumers.update(stream, name, wanted as ConsumerConfig);
  }
}

/**
 * Removes the consumer of a function that is gone, once none of its jobs is left.
 * @returns false while there are jobs: ask again later
 */
export async function removeConsumer(jsm: JetStreamManager, id: FunctionId): Promise<boolean> {
  const info = await jsm.consumers.info(JOBS_STREAM, consumerName(id)).catch(absentIf(CONSUMER_NOT_FOUND));
  if (!info) return true;
  if (info.num_pending + info.num_ack_pending > 0) return false;
  await jsm.consumers.delete(JOBS_STREAM, consumerName(id));
  return true;
}

function valueOf(config: object, field: string): unknown {
  return (config as Record<string, unknown>)[field];
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
