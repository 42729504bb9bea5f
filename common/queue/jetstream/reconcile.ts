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
  STORAGE_EXCEEDED,
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
  const bound = wanted.max_bytes ?? -1;
  if (!current) {
    const maxBytes = await withBound(bound, -1, (max_bytes) => jsm.streams.add({ ...wanted, max_bytes }));
    log.info({ stream: name, maxBytes }, 'stream created');
    return;
  }
  const { config, state } = current;
  // A bound below what a stream holds would make JetStream drop the rest at once: it is lowered with what is there.
  const fitting = { ...wanted, max_bytes: bound <= 0 ? bound : Math.max(bound, state.bytes) };
  const changed = Object.keys(fitting).filter((field) => !isSame(config, fitting, field));
  if (changed.length === 0) return;
  const update = async (max_bytes: number): Promise<void> => {
    const next = { ...fitting, max_bytes };
    const fields = Object.keys(next).filter((field) => !isSame(config, next, field));
    if (fields.length === 0) return;
    await jsm.streams.update(name, next);
    log.info({ stream: name, fields: fields.join(', ') }, 'stream updated');
  };
  try {
    await withBound(fitting.max_bytes, Math.max(config.max_bytes, state.bytes), update, config.max_bytes);
  } catch (error) {
    if (!(error instanceof NatsError) || error.api_error === undefined) throw error;
    log.error(
      { stream: name, fields: changed.join(', '), error: describeError(error) },
      'JetStream refuses this change; the old setting stays',
    );
  }
}

/** What a stream may have at least, to be worth a bound. */
const BOUND_MIN_BYTES = 16 * 1024 * 1024;

/**
 * JetStream sets a bound aside at once. Where the server has not that much, the stream gets half of it, and half again.
 * @param least a bound below it is not tried
 * @param otherwise the bound when all are refused
 * @returns the bound that it was made with
 */
async function withBound(
  wanted: number,
  least: number,
  make: (maxBytes: number) => Promise<unknown>,
  otherwise = -1,
): Promise<number> {
  for (let bytes = wanted; bytes > 0; bytes = Math.floor(bytes / 2)) {
    if (bytes < wanted && bytes < Math.max(least, BOUND_MIN_BYTES)) break;
    try {
      await make(bytes);
      return bytes;
    } catch (error) {
      if (!(error instanceof NatsError) || error.api_error?.err_code !== STORAGE_EXCEEDED) throw error;
    }
  }
  await make(otherwise);
  return otherwise;
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
  else if (Object.keys(wanted).some((field) => !isSame(current.config, wanted, field))) {
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

function isSame(a: object, b: object, field: string): boolean {
  const valueIn = (config: object): string | undefined =>
    JSON.stringify((config as Record<string, unknown>)[field]);
  return valueIn(a) === valueIn(b);
}
