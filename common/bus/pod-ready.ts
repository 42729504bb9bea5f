/**
 * What a sidecar asks the scalers over core NATS where it cannot tell itself that its pod is ready: whether Kubernetes
 * says so. No caller tells it for jobs and events, which it fetches. Every scaler watches pods and answers; the first
 * answer counts, and who does not know the pod keeps silent.
 */
import { MessageError } from '../runtime/errors.ts';
import { parseMessage } from './messages.ts';
import type { FunctionId } from './subjects.ts';

export const POD_READY_SUBJECT = 'slimfaas.pod-ready';

export interface PodReadyQuestion {
  readonly id: FunctionId;
  readonly pod: string;
}

export function encodePodReadyQuestion({ id, pod }: PodReadyQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ ...id, pod }));
}

/** @throws MessageError */
export function decodePodReadyQuestion(data: Uint8Array): PodReadyQuestion {
  const { namespace, name, pod } = parseMessage(data);
  if (typeof namespace !== 'string' || typeof name !== 'string' || typeof pod !== 'string')
    throw new MessageError('question lacks namespace, name or pod');
  return { id: { namespace, name }, pod };
}

const YES = 'ready';
const NO = 'not-ready';

export function encodePodReadyAnswer(isReady: boolean): Uint8Array {
  return new TextEncoder().encode(isReady ? YES : NO);
}

export function decodePodReadyAnswer(data: Uint8Array): boolean {
  return new TextDecoder().decode(data) === YES;
}
