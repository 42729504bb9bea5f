/**
 * A probe over time: first after initialDelaySeconds, then each period, and a verdict that changes only after
 * its threshold of equal results in a row. The first attempt is made at once, as by a real kubelet.
 */
import { sleep } from '../../../../common/runtime/lifecycle.ts';
import type { HandlerResult } from './handlers.ts';
import type { Probe } from '../pods/pod-spec.ts';

export interface ProberOptions {
  readonly probe: Probe;
  /** When the container started, by performance.now(): the initial delay counts from there. */
  readonly startedAt: number;
  readonly attempt: (timeoutMs: number, signal: AbortSignal) => Promise<HandlerResult>;
  /** Called when a threshold is reached, each time the verdict changes. */
  readonly onVerdict: (isSuccess: boolean, why: string) => void;
  readonly onFailedAttempt: (why: string) => void;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function runProber(options: ProberOptions): Promise<void> {
  const { probe, attempt, onVerdict, onFailedAttempt, signal } = options;
  const { initialDelaySeconds = 0, periodSeconds = 10, timeoutSeconds = 1 } = probe;
  const { successThreshold = 1, failureThreshold = 3 } = probe;
  let verdict: boolean | undefined;
  let last: boolean | undefined;
  let inARow = 0;
  const elapsed = performance.now() - options.startedAt;
  await sleep(Math.max(0, initialDelaySeconds * 1000 - elapsed), signal);
  while (!signal.aborted) {
    const startedAt = performance.now();
    const why = await attempt(timeoutSeconds * 1000, signal);
    if (signal.aborted) return;
    const isSuccess = why === undefined;
    if (!isSuccess) onFailedAttempt(why);
    inARow = isSuccess === last ? inARow + 1 : 1;
    last = isSuccess;
    if (inARow >= (isSuccess ? successThreshold : failureThreshold) && verdict !== isSuccess) {
      verdict = isSuccess;
      onVerdict(isSuccess, why ?? '');
    }
    await sleep(Math.max(0, periodSeconds * 1000 - (performance.now() - startedAt)), signal);
  }
}
