/**
 * Waits until Kubernetes calls this pod ready, for what no caller brings: jobs and events. The scalers are asked, who
 * watch pods. Scalers of 0.1.0 know no such question, and no scaler knows a pod that nobody scales. So after some
 * silence the jobs begin without an answer, as they did then.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import { encodeAsk, type Asker } from '../../common/bus/asks.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { podSubject } from '../../common/bus/subjects.ts';
import {
  decodePodReadyAnswer,
  encodePodReadyQuestion,
  POD_READY_SUBJECT,
} from '../../common/bus/pod-ready.ts';

const READY_ANSWER_MS = 1_000;
const ASK_PAUSE_MS = 250;
/** A change of the scaler's leader or a restart of NATS is over by then. */
const UNANSWERED_MS = 30_000;

export interface KubeReadyOptions {
  readonly nats: Pick<NatsLink, 'request' | 'isConnected'>;
  readonly self: Asker;
  /** The scalers may be of a version that hears the shared subject alone. */
  readonly asksOlder: boolean;
  readonly signal: AbortSignal;
  /** How long nobody may answer while NATS is there. */
  readonly silenceMs?: number;
}

/** @returns false when stopped before */
export async function waitForKubeReady(options: KubeReadyOptions): Promise<boolean> {
  const { nats, signal, silenceMs = UNANSWERED_MS } = options;
  let silentSince = performance.now();
  while (!signal.aborted) {
    const answer = await askOnce(options);
    if (answer && decodePodReadyAnswer(answer)) return true;
    if (answer || !nats.isConnected) silentSince = performance.now();
    else if (performance.now() - silentSince >= silenceMs) return true;
    await sleep(ASK_PAUSE_MS, signal);
  }
  return false;
}

async function askOnce({ nats, self, asksOlder }: KubeReadyOptions): Promise<Uint8Array | undefined> {
  const own = podSubject('ask', self.id, self.pod);
  const answer = await nats.request(own, encodeAsk({ ask: 'pod-ready' }), READY_ANSWER_MS);
  if (answer || !asksOlder) return answer;
  return nats.request(POD_READY_SUBJECT, encodePodReadyQuestion(self), READY_ANSWER_MS);
}
