/**
 * The proof that a `ready` message comes from the pod that it names. It is a keyed hash with the token that the
 * webhook gave to this pod's sidecar. The proxy reads the token in the pod's spec. With it the proxy believes the
 * address in the message before Kubernetes reports one. The kubelet does so up to a second or more after the pod has
 * the address.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { ReadyMessage, StartingMessage } from '../bus/messages.ts';

export function proveReady(token: string, message: ReadyMessage | StartingMessage): string {
  const { pod, ip, port, state, start = 0, seq = 0 } = message;
  return createHmac('sha256', token).update([pod, ip, port, state, start, seq].join('\n')).digest('hex');
}

/** @param token undefined or empty: that pod can prove nothing */
export function isProven(token: string | undefined, message: ReadyMessage | StartingMessage): boolean {
  if (!token || message.proof === undefined) return false;
  const wanted = Buffer.from(proveReady(token, message));
  const given = Buffer.from(message.proof);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
