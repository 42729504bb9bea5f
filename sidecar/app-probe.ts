/**
 * Finds out when the app can take its first call, within milliseconds and not with the kubelet's period of
 * seconds: that difference is most of a cold start. It stops at its first success; from then on Kubernetes'
 * own probes decide.
 */
import { sleep } from '../common/lifecycle.ts';
import { checkProbe, checkTcp, type OnFailure } from './probe-checks.ts';
import type { ProbeSpec } from './probe-spec.ts';

/** 10 ms, growing by a quarter to 50 ms: short against any start, and 20 checks a second against a slow one. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 50;
const PAUSE_GROWTH = 1.25;

export interface AppProbe {
  /** One check; true when it passed. Never rejects. */
  readonly check: () => Promise<boolean>;
  readonly successThreshold: number;
}

/** Resolves true when the app has passed `successThreshold` checks in a row, false when stopped before. */
export async function waitForApp(probe: AppProbe, signal: AbortSignal): Promise<boolean> {
  let pause = FIRST_PAUSE_MS;
  let passed = 0;
  while (!signal.aborted) {
    passed = (await probe.check()) ? passed + 1 : 0;
    if (passed >= probe.successThreshold) return true;
    await sleep(pause, signal);
    pause = Math.min(LONGEST_PAUSE_MS, pause * PAUSE_GROWTH);
  }
  return false;
}

/**
 * - `passed`: the app can take calls, and everyone should hear of it.
 * - `kubernetes`: not for us to say; who sends us a call has it from Kubernetes that the pod is ready.
 */
export type AppReady = 'passed' | 'kubernetes' | 'stopped';

/** @param onFailure takes what each check that failed has found */
export async function startAppProbe(
  spec: ProbeSpec,
  host: string,
  signal: AbortSignal,
  onFailure?: OnFailure,
): Promise<AppReady> {
  if (spec.kind === 'kubernetes') return 'kubernetes';
  if (spec.kind === 'none') return 'passed';
  const check = (): Promise<boolean> => checkProbe(spec, host, onFailure);
  const hasPassed = await waitForApp({ check, successThreshold: spec.timing.successThreshold }, signal);
  return hasPassed ? 'passed' : 'stopped';
}

/** One check; false where there is nothing of ours to check, so that nobody waits for it to fail. */
export async function checkApp(spec: ProbeSpec, host: string): Promise<boolean> {
  return spec.kind === 'kubernetes' || spec.kind === 'none' ? false : checkProbe(spec, host);
}

/** Between two looks whether the app still listens; it has as long as its pod's grace period for its end. */
const GONE_PAUSE_MS = 50;
const LONGEST_GONE_PAUSE_MS = 250;
const GONE_TIMEOUT_MS = 1_000;

/** Resolves when nobody listens on the app's port, or on abort. */
export async function waitForAppGone(
  app: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<void> {
  let pause = GONE_PAUSE_MS;
  while (!signal.aborted && (await checkTcp(app.host, app.port, GONE_TIMEOUT_MS))) {
    await sleep(pause, signal);
    pause = Math.min(LONGEST_GONE_PAUSE_MS, pause * PAUSE_GROWTH);
  }
}
