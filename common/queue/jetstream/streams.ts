/**
 * The JetStream streams of jobs and their settings, explicit to the last field, as a pure function of the
 * flags. The scaler's leader creates and updates them; everyone else only uses the names.
 */
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  nanos,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
} from '../../bus/nats-library.ts';
import { ACK_WAIT_MS, CALLBACK_TTL_MS, type JobSettings } from '../settings.ts';
import { shareOfVolume, type VolumeShare } from '../volume.ts';
import { functionSubject, type FunctionId } from '../../bus/subjects.ts';
import type { ConsumerConfig, StreamConfig } from './library.ts';
import { consumerName } from './names.ts';

export const JOBS_STREAM = 'SLIMFAAS_JOBS';
export const DEAD_STREAM = 'SLIMFAAS_DEAD';
export const RESULTS_STREAM = 'SLIMFAAS_RESULTS';
export const BODIES_STREAM = 'SLIMFAAS_BODIES';
/** Results on their way to the URLs that their jobs were given. */
export const CALLBACKS_STREAM = 'SLIMFAAS_CALLBACKS';
/** Events for the pods that were there when they were published; see docs/decisions/events.md. */
export const EVENTS_STREAM = 'SLIMFAAS_EVENTS';
/** Shared by all proxies. */
export const CALLBACKS_CONSUMER = 'proxies';
/** Results of all functions, each up to 120 KB; a job whose result finds no place waits with its end. */
const CALLBACKS_MAX = 10_000;
const CALLBACKS_MAX_EACH = 1_000;

/** A message that only asks whether its message id is known: never run, deleted by its sender. */
export const VOID_HEADER = 'Slimfaas-Void';

export function streamConfigs(settings: JobSettings): Partial<StreamConfig>[] {
  const { replicas } = settings;
  const storage = settings.storage === 'file' ? StorageType.File : StorageType.Memory;
  const common = { num_replicas: replicas, storage, allow_direct: true };
  return [
    {
      ...common,
      name: JOBS_STREAM,
      subjects: ['slimfaas.job.*.*'],
      retention: RetentionPolicy.Workqueue,
      // New jobs are refused rather than old ones dropped: an accepted job is never lost.
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
      max_msgs_per_subject: settings.maxJobsPerFunction,
      max_bytes: settings.maxBytes || shareOf(settings, 'jobs'),
      duplicate_window: nanos(settings.duplicateWindowMs),
    },
    {
      ...common,
      name: DEAD_STREAM,
      subjects: ['slimfaas.dead.*.*'],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      // A function whose every job dies keeps the last ones.
      max_msgs_per_subject: settings.maxJobsPerFunction,
      max_age: nanos(settings.deadTtlMs),
      max_bytes: shareOf(settings, 'dead'),
    },
    {
      ...common,
      name: RESULTS_STREAM,
      subjects: ['slimfaas.result.*.*.*'],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      // The last state of a job is all of it: each document carries every try.
      max_msgs_per_subject: 1,
      max_age: nanos(settings.resultTtlMs),
      max_bytes: shareOf(settings, 'results'),
    },
    {
      ...common,
      name: BODIES_STREAM,
      // A name of one token, as sidecars of 0.1.0 read it; or a function, a secret and the number of the chunk.
      subjects: ['slimfaas.body.*', 'slimfaas.body.*.*.*.*'],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      max_age: nanos(settings.bodyTtlMs),
      max_bytes: shareOf(settings, 'bodies'),
    },
    callbacksStream(settings, common),
    eventsStream(settings, common),
  ];
}

/** In memory there is no volume. */
function shareOf({ volumeBytes, storage }: JobSettings, share: VolumeShare): number {
  return storage === 'file' ? shareOfVolume(volumeBytes, share) : -1;
}

function callbacksStream(settings: JobSettings, common: Partial<StreamConfig>): Partial<StreamConfig> {
  return {
    ...common,
    name: CALLBACKS_STREAM,
    subjects: ['slimfaas.callback.*.*'],
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.New,
    max_msgs: CALLBACKS_MAX,
    // One function whose receiver is away must leave room for the others.
    discard_new_per_subject: true,
    max_msgs_per_subject: CALLBACKS_MAX_EACH,
    max_age: nanos(CALLBACK_TTL_MS),
    max_bytes: shareOf(settings, 'callbacks'),
  };
}

function eventsStream(settings: JobSettings, common: Partial<StreamConfig>): Partial<StreamConfig> {
  return {
    ...common,
    name: EVENTS_STREAM,
    subjects: ['slimfaas.event.*.*.*'],
    // Not by interest: an event may come between a pod's start and its consumer.
    retention: RetentionPolicy.Limits,
    // The oldest have been run by every pod that is well; refusing new ones would punish all for one that is not.
    discard: DiscardPolicy.Old,
    max_bytes: settings.eventMaxBytes || shareOf(settings, 'events'),
    max_age: nanos(settings.eventTtlMs),
    duplicate_window: nanos(Math.min(settings.duplicateWindowMs, settings.eventTtlMs)),
  };
}

/**
 * One durable pull consumer per function. Deliveries are unlimited because tries are ours to count: the server
 * also counts refusals and crashes. Nak-delayed jobs count as ack-pending, so that bound is the queue's own.
 */
export function consumerConfig(
  id: FunctionId,
  settings: JobSettings,
  isOrdered: boolean,
): Partial<ConsumerConfig> {
  return {
    durable_name: consumerName(id),
    filter_subject: functionSubject('job', id),
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    max_deliver: -1,
    // One in flight is strict order: the next job is not delivered while one runs or waits for its retry.
    max_ack_pending: isOrdered ? 1 : settings.maxJobsPerFunction,
  };
}

/** All proxies pull from one: whichever has a hand free posts the next. */
export function callbacksConsumerConfig(): Partial<ConsumerConfig> {
  return {
    durable_name: CALLBACKS_CONSUMER,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(CALLBACK_ACK_WAIT_MS),
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    max_deliver: -1,
    max_ack_pending: CALLBACKS_MAX,
  };
}

/** Longer than a post may take. */
const CALLBACK_ACK_WAIT_MS = 60_000;
