/**
 * A sidecar that runs jobs of a real JetStream, in front of a test's app: streams and consumer made as the
 * scaler makes them, jobs published as the proxy publishes them.
 */
import {
  consumerConfig,
  JOBS_STREAM,
  RESULTS_STREAM,
  DEAD_STREAM,
} from '../../../common/queue/jetstream/streams.ts';
import { elementId, encodeJob, type JobHead } from '../../../common/queue/job.ts';
import { decodeState, type JobState } from '../../../common/queue/state.ts';
import { encodeQuestion, type JobQuestion } from '../../../common/queue/question.ts';
import { nanos } from '../../../common/bus/nats-library.ts';
import { functionSubject, jobQuestionSubject, resultSubject } from '../../../common/bus/subjects.ts';
import { randomBytes } from 'node:crypto';
import { jobSettings, startJetStream, type TestJetStream } from '../../helpers/jetstream.ts';
import type { NatsOptions } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { sidecarFor, type TestSidecar } from './sidecar.ts';
import {
  type ConsumerConfig,
  getLast,
  getStored,
  type StoredMsg,
} from '../../../common/queue/jetstream/library.ts';

export const FN = { namespace: 'ns', name: 'fn' };

export interface JobWorld extends AsyncDisposable {
  readonly jetstream: TestJetStream;
  /** One more pod of the function. */
  sidecar(appPort: number, flags?: Readonly<Record<string, string | number>>): Promise<TestSidecar>;
  publish(job?: Partial<JobHead>, body?: Buffer | string): Promise<PublishedJob>;
  /** Jobs that are not finished. */
  depth(): Promise<number>;
  state(job: PublishedJob): Promise<JobState | undefined>;
  /** Waits for it. */
  ended(job: PublishedJob, how?: JobState['state'], timeoutMs?: number): Promise<JobState>;
  deadLetters(): Promise<StoredMsg[]>;
  ask(question: JobQuestion): Promise<string | undefined>;
}

export interface PublishedJob {
  readonly id: string;
  readonly secret: string;
  readonly seq: number;
}

export interface JobWorldOptions {
  readonly isOrdered?: boolean;
  /** The production ack wait is 15 s, which a test that kills a pod would wait for. */
  readonly ackWaitMs?: number;
  readonly nats?: NatsOptions;
}

export async function startJobWorld(options: JobWorldOptions = {}): Promise<JobWorld> {
  const jetstream = await startJetStream(jobSettings, options.nats);
  const { jsm, js, link, server } = jetstream;
  await jsm.consumers.add(JOBS_STREAM, {
    ...(consumerConfig(FN, jobSettings, options.isOrdered ?? false) as ConsumerConfig),
    ...(options.ackWaitMs === undefined ? {} : { ack_wait: nanos(options.ackWaitMs) }),
  });
  const sidecars: TestSidecar[] = [];
  const state = async ({ seq }: PublishedJob): Promise<JobState | undefined> => {
    const stored = await getLast(jsm, RESULTS_STREAM, resultSubject(FN, seq));
    return stored && decodeState(stored.data);
  };
  return {
    jetstream,
    async sidecar(appPort, flags = {}) {
      const pod = `fn-${sidecars.length + 1}`;
      const sidecar = await sidecarFor(appPort, { flags: { nats: server.url, 'pod-name': pod, ...flags } });
      sidecars.push(sidecar);
      return sidecar;
    },
    async publish(job = {}, body = '') {
      const secret = randomBytes(16).toString('hex');
      const head = { secret, method: 'POST', path: '/', headers: [], acceptedAtMs: Date.now(), ...job };
      const ack = await js.publish(functionSubject('job', FN), encodeJob(head, Buffer.from(body)));
      return { id: elementId(secret, ack.seq), secret, seq: ack.seq };
    },
    async depth() {
      return (await jsm.streams.info(JOBS_STREAM)).state.messages;
    },
    state,
    ended: (job, how = 'done', timeoutMs = 14_000) =>
      waitFor(
        async () => {
          const now = await state(job);
          return now?.state === how ? now : undefined;
        },
        { what: `job ${job.seq} is ${how}`, timeoutMs },
      ),
    async deadLetters() {
      const letters: StoredMsg[] = [];
      for (let seq = 1; ;) {
        const letter = await getStored(jsm, DEAD_STREAM, { seq, next_by_subj: functionSubject('dead', FN) });
        if (!letter) return letters;
        letters.push(letter);
        seq = letter.seq + 1;
      }
    },
    async ask(question) {
      const answer = await link.request(jobQuestionSubject(FN), encodeQuestion(question), 300);
      return answer && new TextDecoder().decode(answer);
    },
    async [Symbol.asyncDispose]() {
      for (const sidecar of sidecars) await sidecar.stop();
      await jetstream[Symbol.asyncDispose]();
    },
  };
}

/** As the webhook writes a CallPolicy; delays in seconds. */
export function policy(delays: readonly number[], httpTimeoutSeconds = 5): string {
  return JSON.stringify({
    httpTimeoutSeconds,
    timeoutRetriesSeconds: delays,
    httpStatusRetries: [500, 502, 503],
  });
}
