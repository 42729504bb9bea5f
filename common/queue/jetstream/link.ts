/** The queue over a link to NATS: where a part enters this room. */
import type { NatsLink } from '../../bus/nats.ts';
import { everyResult, parseResultSubject, resultSubject, type FunctionId } from '../../bus/subjects.ts';
import type { QueueLink } from '../queue.ts';
import { JetStreamQueue } from './jetstream-queue.ts';

/** @param owner the function whose sidecar asks: where its rights end, the proxies are asked */
export function jetStreamQueue(nats: NatsLink, owner?: FunctionId): QueueLink {
  return {
    get live() {
      const { connection } = nats;
      return connection && JetStreamQueue.of(connection, owner);
    },
    get othersBackInMs() {
      return nats.othersBackInMs;
    },
    onStatus: (listener) => nats.onStatus(listener),
    watch: (job, listener) =>
      nats.subscribe(job ? resultSubject(job.id, job.sequence) : everyResult(), (subject, data) => {
        const of = job ?? parseResultSubject(subject);
        if (of) listener(of, data);
      }),
  };
}
