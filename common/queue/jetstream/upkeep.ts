/** The scaler's care for streams and consumers, over its connection to NATS. */
import type { NatsConnection, NatsLink } from '../../bus/nats.ts';
import { NatsError } from '../../bus/nats-library.ts';
import { parseEveryEventOf, parseFunctionSubject, type FunctionId } from '../../bus/subjects.ts';
import type { Log } from '../../runtime/log.ts';
import type { JobSettings } from '../settings.ts';
import type { PodReader } from '../queue.ts';
import type { EventReader, JobDepth, JobFunction, MoveOptions, Upkeep, UpkeepLink } from '../upkeep.ts';
import { readJobDepths } from './depth.ts';
import { answered, type JetStreamManager } from './library.ts';
import { moveEvents } from './events/move-events.ts';
import { ensurePodConsumer } from './events/pod-consumer.ts';
import { reconcileConsumer, reconcileStreams, removeConsumer } from './reconcile.ts';
import { EVENTS_STREAM, JOBS_STREAM, streamConfigs } from './streams.ts';
import { consumerName, podOfEventConsumer } from './names.ts';

export function jetStreamUpkeep(nats: Pick<NatsLink, 'connection'>): UpkeepLink {
  return {
    get live() {
      const { connection } = nats;
      if (!connection) return undefined;
      let upkeep = upkeeps.get(connection);
      if (!upkeep) upkeeps.set(connection, (upkeep = new JetStreamUpkeep(connection)));
      return upkeep;
    },
  };
}

const upkeeps = new WeakMap<NatsConnection, Upkeep>();

class JetStreamUpkeep implements Upkeep {
  readonly #connection: NatsConnection;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  reconcile(settings: JobSettings, log: Log): Promise<void> {
    return this.#ask((jsm) => reconcileStreams(jsm, settings, log));
  }

  isComplete(settings: JobSettings): Promise<boolean> {
    return this.#ask(async (jsm) => {
      const names = new Set<string>();
      for await (const name of jsm.streams.names()) names.add(name);
      return streamConfigs(settings).every(({ name }) => names.has(name as string));
    });
  }

  open(fn: JobFunction, settings: JobSettings): Promise<void> {
    return this.#ask((jsm) => reconcileConsumer(jsm, fn, settings));
  }

  close(id: FunctionId): Promise<boolean> {
    return this.#ask((jsm) => removeConsumer(jsm, id));
  }

  opened(): Promise<FunctionId[]> {
    return this.#ask(async (jsm) => {
      const ids: FunctionId[] = [];
      for await (const { name, config } of jsm.consumers.list(JOBS_STREAM)) {
        const id = ownerOf(config.filter_subject);
        // One that has our name and our subject is ours; anybody may have made others.
        if (id && name === consumerName(id)) ids.push(id);
      }
      return ids;
    });
  }

  depths(): Promise<Map<string, JobDepth>> {
    return this.#ask(readJobDepths);
  }

  accepted(id: FunctionId): Promise<number | undefined> {
    return this.#ask(async (jsm) => {
      try {
        const { delivered, num_pending } = await jsm.consumers.info(JOBS_STREAM, consumerName(id));
        return delivered.consumer_seq + num_pending;
      } catch (error) {
        if (error instanceof NatsError && error.api_error !== undefined) return undefined;
        throw error;
      }
    });
  }

  eventReaders(each: (reader: EventReader) => void): Promise<number> {
    return this.#ask(async (jsm) => {
      let count = 0;
      for await (const { name, config } of jsm.consumers.list(EVENTS_STREAM)) {
        count += 1;
        const id = parseEveryEventOf(config.filter_subject ?? '');
        const pod = id && podOfEventConsumer(name, id.namespace);
        if (id && pod !== undefined) each({ name, id, pod });
      }
      return count;
    });
  }

  openReader(reader: PodReader, { eventTtlMs }: JobSettings): Promise<void> {
    return this.#ask((jsm) => ensurePodConsumer(jsm, reader, eventTtlMs));
  }

  moveEvents(reader: Pick<EventReader, 'id' | 'pod'>, how: MoveOptions): Promise<number> {
    return this.#ask((jsm) => moveEvents(this.#connection, jsm, reader, how));
  }

  /** @throws QueueError */
  #ask<T>(ask: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
    return answered(this.#connection.jetstreamManager({ checkAPI: false }).then(ask));
  }
}

function ownerOf(filterSubject: string | undefined): FunctionId | undefined {
  const parsed = filterSubject === undefined ? undefined : parseFunctionSubject(filterSubject);
  return parsed?.kind === 'job' ? parsed.id : undefined;
}
