/**
 * Waits until Kubernetes calls this pod ready, for what no caller brings: jobs and events. The scalers are asked, who
 * watch pods. Scalers of 0.1.0 know no such question, and no scaler knows a pod that nobody scales. So after some
 * silence the jobs begin without an answer, as they did then.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import {
  decodePodReadyAnswer,
  encodePodReadyQuestion,
  POD_READY_SUBJECT,
  type PodReadyQuestion,
} from '../../common/bus/pod-ready.ts';

const ANSWER_MS = 1_000;
const PAUSE_MS = 250;
/** A change of the scaler's leader or a restart of NATS is over by then. */
const SILENCE_MS = 30_000;

/**
 * @param silenceMs how long nobody may answer while NATS is there
 * @returns false when stopped before
 */
export async function waitForKubeReady(
  nats: Pick<NatsLink, 'request' | 'isConnected'>,
  question: PodReadyQuestion,
  signal: AbortSignal,
  silenceMs = SILENCE_MS,
): Promise<boolean> {
  const data = encodePodReadyQuestion(question);
  let silentSince = performance.now();
  while (!signal.aborted) {
    const answer = await nats.request(POD_READY_SUBJECT, data, ANSWER_MS);
    if (answer && decodePodReadyAnswer(answer)) return true;
    if (answer || !nats.isConnected) silentSince = performance.now();
    else if (performance.now() - silentSince >= silenceMs) return true;
    await sleep(PAUSE_MS, signal);
  }
  return false;
}
