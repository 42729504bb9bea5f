/**
 * One try. A stored request is brought to the user's container, with three headers about the job. The outcome is
 * given in the terms of a try.
 */
import type { BodyStore } from '../../common/queue/queue.ts';
import { elementId, type Job } from '../../common/queue/job.ts';
import { HEADER } from '../../common/function/names.ts';
import {
  bufferBody,
  iterableBody,
  type BodySource,
  type CaptureSink,
  type Relay,
  type RelayTarget,
} from '../../common/relay/index.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';
import { APP_CONNECT_MS } from '../call/call-failures.ts';
import { triedBy, type Tried } from './outcome.ts';
import { isLastTry } from './verdict.ts';

export interface GivenJob {
  readonly job: Job;
  /** On its stream. */
  readonly sequence: number;
  readonly triesBefore: number;
  readonly policy: RetryPolicy;
  /** On abort the request is cancelled, which is no try. */
  readonly signal: AbortSignal;
}

export interface TryDeps {
  readonly app: RelayTarget;
  readonly relay: Relay;
  readonly bodies: Pick<BodyStore, 'readBody'>;
  readonly now: () => number;
}

const BODY_IDLE_MS = 60_000;

export function tryJob(
  given: GivenJob,
  sink: CaptureSink,
  { app, relay, bodies, now }: TryDeps,
): Promise<Tried> {
  const { job, policy, signal } = given;
  return new Promise((resolve) => {
    const exchange = relay.exchange(
      {
        target: app,
        head: { ...job.head, headers: [...job.head.headers, ...ownHeaders(given)] },
        body: bodyOf(job, bodies),
        sink,
        timeouts: {
          connectMs: APP_CONNECT_MS,
          headMs: policy.httpTimeoutMs,
          idleMs: BODY_IDLE_MS,
          totalMs: policy.httpTimeoutMs,
        },
        mayRepeat: false,
      },
      (outcome) => {
        signal.removeEventListener('abort', cancel);
        resolve(triedBy(outcome, sink.answer, now()));
      },
    );
    const cancel = (): void => exchange.cancel();
    signal.addEventListener('abort', cancel, { once: true });
  });
}

function ownHeaders({ job, sequence, triesBefore, policy }: GivenJob): readonly string[] {
  const id = elementId(job.head.secret, sequence);
  const isLast = isLastTry(triesBefore, policy);
  return [HEADER.elementId, id, HEADER.tryNumber, String(triesBefore), HEADER.lastTry, String(isLast)];
}

function bodyOf({ head, body }: Job, bodies: TryDeps['bodies']): BodySource {
  if (!head.object) return bufferBody(body);
  return iterableBody(bodies.readBody(head.object), head.object.size);
}
