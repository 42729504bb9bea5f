/** The queues that the contract is about, each made empty for a test. */
import { type FunctionId } from '../../../common/bus/subjects.ts';
import { nanos } from '../../../common/bus/nats-library.ts';
import type { ConsumerConfig } from '../../../common/queue/jetstream/library.ts';
import { jetStreamQueue } from '../../../common/queue/jetstream/link.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import type { Queue, QueueLink } from '../../../common/queue/queue.ts';
import type { Upkeep } from '../../../common/queue/upkeep.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { jobSettings, startJetStream } from '../../helpers/jetstream.ts';
import { MemoryQueue, type MemoryOptions } from './memory-queue.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';

export interface TestQueue extends AsyncDisposable {
  readonly link: QueueLink;
  readonly queue: Queue;
  /** Lets the jobs of a function be taken, as the scaler does. */
  open(id: FunctionId, isOrdered?: boolean): Promise<void>;
}

export const QUEUES: Readonly<Record<string, (options: MemoryOptions) => Promise<TestQueue>>> = {
  'in memory': inMemory,
  JetStream: onJetStream,
};

async function inMemory(options: MemoryOptions): Promise<TestQueue> {
  const queue = new MemoryQueue(options);
  return {
    link: queue,
    queue,
    open: async (id, isOrdered) => queue.open(id, isOrdered),
    async [Symbol.asyncDispose]() {},
  };
}

async function onJetStream({ maxJobsPerFunction, ackWaitMs }: MemoryOptions): Promise<TestQueue> {
  const server = await startJetStream(null);
  const link = jetStreamQueue(server.link);
  const upkeep = jetStreamUpkeep(server.link).live as Upkeep;
  const settings = { ...jobSettings, maxJobsPerFunction };
  await upkeep.reconcile(settings, silentLog);
  return {
    link,
    queue: link.live as Queue,
    async open(id, isOrdered = false) {
      await upkeep.open({ id, isOrdered }, settings);
      const name = consumerName(id);
      const { config } = await server.jsm.consumers.info(JOBS_STREAM, name);
      // 15 s in production, which a test that loses a holder would wait for.
      const shorter: ConsumerConfig = { ...config, ack_wait: nanos(ackWaitMs) };
      await server.jsm.consumers.update(JOBS_STREAM, name, shorter);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
