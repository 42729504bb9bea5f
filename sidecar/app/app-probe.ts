/**
 * Finds out when the app can take its first call, within milliseconds and not with the kubelet's period of
 * seconds: that difference is most of a cold start. It stops at its first success; from then on Kubernetes'
 * own probes decide.
 *
 * Room `sidecar/app`: The app: how to reach it, and whether it is ready.
 * Comes in: probes of the pod.
 * Goes out: ready, trouble, a relay to the app.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import { checkProbe, checkTcp, type OnFailure } from './probe-checks.ts';
import type { CheckSpec, ProbeTiming } from './probe-spec.ts';
import type { ContainerChecks, AppReadiness } from './readiness.ts';

/** 10 ms, growing by a quarter to 50 ms, for an app that starts fast; then ten checks a second, for one that does not. */
const PROBE_FIRST_PAUSE_MS = 10;
const PROBE_LONGEST_PAUSE_MS = 50;
const PAUSE_GROWTH = 1.25;
const FAST_FOR_MS = 1_000;
const LATER_PAUSE_MS = 100;

export interface AppProbe extends Omit<ProbeTiming, 'timeoutMs'> {
  /** One check; true when it passed. Never rejects. */
  readonly check: () => Promise<boolean>;
}

/** Resolves true when the app has passed `successThreshold` checks in a row, false when stopped before. */
export async function waitForApp(probe: AppProbe, signal: AbortSignal): Promise<boolean> {
  if (probe.delayMs > 0) await sleep(probe.delayMs, signal);
  let pause = PROBE_FIRST_PAUSE_MS;
  let paused = 0;
  let passed = 0;
  while (!signal.aborted) {
    passed = (await probe.check()) ? passed + 1 : 0;
    if (passed >= probe.successThreshold) return true;
    // Several successes in a row are asked for over time: three within 30 ms would say no more than one.
    const waitMs = passed > 0 ? probe.periodMs : pause;
    await sleep(waitMs, signal);
    paused += waitMs;
    pause = paused < FAST_FOR_MS ? Math.min(PROBE_LONGEST_PAUSE_MS, pause * PAUSE_GROWTH) : LATER_PAUSE_MS;
  }
  return false;
}

/**
 * - `passed`: the app can take calls, and everyone should hear of it.
 * - `kubernetes`: not for us to say; a proxy that sends us a call has read in Kubernetes that the pod is ready.
 */
export type AppReady = 'passed' | 'kubernetes' | 'stopped';

/** @param onFailure takes what each check that failed has found */
export async function startAppProbe(
  readiness: AppReadiness,
  host: string,
  signal: AbortSignal,
  onFailure?: OnFailure,
): Promise<AppReady> {
  if (readiness.kind === 'kubernetes') return 'kubernetes';
  const { containers } = readiness;
  do await Promise.all(containers.map((container) => passInOrder(container, host, { signal, onFailure })));
  while (
    // One that was ready first may have changed its mind while the others started.
    !signal.aborted &&
    containers.length > 1 &&
    !(await areReady(containers, host))
  );
  return signal.aborted ? 'stopped' : 'passed';
}

/** As Kubernetes: no readiness probe before the startup probe has passed. */
async function passInOrder(
  { startup, readiness }: ContainerChecks,
  host: string,
  { signal, onFailure }: { readonly signal: AbortSignal; readonly onFailure: OnFailure | undefined },
): Promise<void> {
  for (const spec of [startup, readiness])
    if (spec) await waitForApp({ ...spec.timing, check: () => checkProbe(spec, host, onFailure) }, signal);
}

async function areReady(containers: readonly ContainerChecks[], host: string): Promise<boolean> {
  const specs = containers.flatMap(({ readiness }): CheckSpec[] => (readiness ? [readiness] : []));
  const results = await Promise.all(specs.map((spec) => checkProbe(spec, host)));
  return results.every(Boolean);
}

/** One check of all; false where there is nothing of ours to check, so that nobody waits for it to fail. */
export async function checkApp(readiness: AppReadiness, host: string): Promise<boolean> {
  if (readiness.kind === 'kubernetes' || readiness.containers.length === 0) return false;
  return areReady(readiness.containers, host);
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
