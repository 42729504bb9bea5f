/**
 * Why a function that is wanted has no ready pod, as a fault. It shows in its status, as a Warning Event on the
 * workload, and in the log. At once where Kubernetes says what fails; where it says nothing, after the function's
 * cold start should have been over. Pure.
 */
import { isFailing, type Trouble } from '../../common/kube/model/trouble.ts';
import type { Fault } from './faults.ts';

export interface ColdStart {
  readonly replicas: number;
  readonly readyPods: number;
  readonly troubles: readonly Trouble[];
  /** Since the wake; undefined: it was not woken by us, or a pod was ready since. */
  readonly startingMs: number | undefined;
  /** Since a sidecar first said that its app takes no calls; undefined: none says so. */
  readonly troubledMs?: number | undefined;
  /** How long callers wait for it. */
  readonly timeoutMs: number;
}

/** The proxy's default, where the function has no timeout of its own. */
export const COLD_START_TIMEOUT_MS = 60_000;

export function coldStartFault(start: ColdStart): Fault | undefined {
  const { replicas, readyPods, troubles, startingMs = 0, troubledMs = 0, timeoutMs } = start;
  if (replicas === 0 || readyPods > 0) return undefined;
  const failing = troubles.find(isFailing);
  if (failing) {
    const message = `no pod comes up: ${failing.kind}: ${failing.message}`;
    return { reason: 'ColdStartFailing', message, key: failing.kind };
  }
  if (Math.max(startingMs, troubledMs) < timeoutMs) return undefined;
  const [trouble] = troubles;
  const why = trouble ? trouble.message : 'Kubernetes says nothing of why';
  const isColdStart = startingMs >= timeoutMs;
  const seconds = timeoutMs / 1_000;
  const message = isColdStart
    ? `no pod was ready ${seconds} s after it was woken: ${why}`
    : `no pod has taken calls for ${seconds} s: ${why}`;
  return { reason: 'ColdStartFailing', message, key: trouble?.kind ?? 'unknown' };
}
