/** Sidecars that read events of a real JetStream, in front of a test's apps; published as the proxy publishes them. */
import { randomBytes } from 'node:crypto';
import { EVENTS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { encodeJob, type JobHead } from '../../../common/queue/job.ts';
import { eventSubject } from '../../../common/bus/subjects.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startEventScaler, type EventScaler } from './event-scaler.ts';
import { FN, startJobWorld, type JobWorld, type JobWorldOptions } from './job-world.ts';
import type { SidecarFlags } from './sidecar-process.ts';
import { sidecarFor, type TestSidecar } from './sidecar.ts';
import type { ConsumerInfo } from '../../../common/queue/jetstream/library.ts';

export interface EventWorld extends JobWorld {
  /** Undefined: there is none. */
  readonly scaler: EventScaler | undefined;
  /** One more pod, `fn-1`, `fn-2` …, that reads events. */
  pod(appPort: number, flags?: SidecarFlags, isProcess?: boolean): Promise<TestSidecar>;
  /** Its sequence on the stream. */
  send(event?: Partial<JobHead>, body?: Buffer | string): Promise<number>;
  /** Of a pod's consumer; undefined: there is none. */
  reader(pod: string): Promise<ConsumerInfo | undefined>;
  /** Nothing waits for that pod and nothing of it is unfinished. */
  isDone(pod: string): Promise<void>;
  /** What a pod left has become jobs, and its consumer is gone. */
  isCleared(pod: string): Promise<void>;
}

export interface EventWorldOptions extends JobWorldOptions {
  readonly hasScaler?: boolean;
}

export async function startEventWorld(options: EventWorldOptions = {}): Promise<EventWorld> {
  const jobs = await startJobWorld(options);
  const { jsm, js, server } = jobs.jetstream;
  const { hasScaler = true } = options;
  const scaler = hasScaler ? await startEventScaler({ nats: server.url }) : undefined;
  const pods: TestSidecar[] = [];
  let count = 0;
  let lastSent = 0;
  const reader = (pod: string): Promise<ConsumerInfo | undefined> =>
    jsm.consumers.info(EVENTS_STREAM, `ns__${pod}`).catch(() => undefined);
  return {
    ...jobs,
    reader,
    scaler,
    async pod(appPort, flags = {}, isProcess = false) {
      const pod = `fn-${++count}`;
      const ports: SidecarFlags = isProcess ? { port: 0, 'admin-port': 0 } : {}; // nobody calls it
      const given = { nats: server.url, 'pod-name': pod, 'subscribe-events': 'paid', ...ports, ...flags };
      const sidecar = await sidecarFor(appPort, { flags: given, isProcess });
      pods.push(sidecar);
      const name = String(given['pod-name']);
      await waitFor(() => reader(name), { what: `${name} reads events` });
      return sidecar;
    },
    async send(event = {}, body = '') {
      const secret = randomBytes(16).toString('hex');
      const base = {
        secret,
        method: 'POST',
        path: '/',
        headers: [],
        acceptedAtMs: Date.now(),
        event: 'paid',
      };
      const payload = encodeJob({ ...base, ...event }, Buffer.from(body));
      lastSent = (await js.publish(eventSubject(FN, event.event ?? 'paid'), payload)).seq;
      return lastSent;
    },
    async isDone(pod) {
      await waitFor(
        async () => {
          const info = await reader(pod);
          // A new server counts what waits a moment after it has stored it.
          const isDelivered = info !== undefined && info.delivered.stream_seq >= lastSent;
          return isDelivered && info.num_pending === 0 && info.num_ack_pending === 0;
        },
        { what: `${pod} has finished all its events`, timeoutMs: 60_000 }, // an ack that a server forgot: 15 s
      );
    },
    async isCleared(pod) {
      await waitFor(
        async () => {
          await scaler?.look();
          return (await reader(pod)) === undefined;
        },
        { what: `${pod} has no consumer`, timeoutMs: 60_000 },
      );
    },
    async [Symbol.asyncDispose]() {
      for (const sidecar of pods) await sidecar[Symbol.asyncDispose]();
      await scaler?.[Symbol.asyncDispose]();
      await jobs[Symbol.asyncDispose]();
    },
  };
}
