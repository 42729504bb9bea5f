/**
 * The probes of one run of a container, in their order: startup first and alone, then readiness and liveness.
 * They end with the run; startup and liveness end as soon as the pod does, which is then probed for readiness
 * only, as by a real kubelet.
 */
import { sleep } from '../../../../common/runtime/lifecycle.ts';
import { runHandler, type HandlerContext } from './handlers.ts';
import type { Probe } from '../pods/pod-spec.ts';
import { runProber } from './prober.ts';

export interface ProbedRun {
  readonly context: HandlerContext;
  /** Aborts when this run has ended. */
  readonly ended: AbortSignal;
  /** Aborts when the pod begins to end. */
  readonly ending: AbortSignal;
  /** A fault on request: how late readiness is reported. */
  readonly readinessDelayMs: () => number;
  readonly onStarted: () => void;
  readonly onReady: (isReady: boolean) => void;
  /** The container has to be ended because of this probe. */
  readonly onFatal: (type: 'startup' | 'liveness', probe: Probe) => void;
  readonly onFailedAttempt: (type: string, why: string) => void;
}

export function startProbes(run: ProbedRun): void {
  const startedAt = performance.now();
  const { startupProbe } = run.context.container;
  const open = () => {
    run.onStarted();
    probeReadiness(run, startedAt);
    probeLiveness(run, startedAt);
  };
  if (!startupProbe) return open();
  const decided = new AbortController();
  const signal = AbortSignal.any([run.ended, run.ending, decided.signal]);
  probe(run, 'Startup', { probe: startupProbe, startedAt, signal }, (isSuccess) => {
    decided.abort(); // it has one verdict, whichever it is
    if (isSuccess) open();
    else run.onFatal('startup', startupProbe);
  });
}

function probeReadiness(run: ProbedRun, startedAt: number): void {
  const { readinessProbe } = run.context.container;
  let wanted = false;
  const report = async (isReady: boolean) => {
    wanted = isReady;
    const delayMs = isReady ? run.readinessDelayMs() : 0;
    if (delayMs > 0) await sleep(delayMs, run.ended);
    if (wanted === isReady && !run.ended.aborted) run.onReady(isReady);
  };
  if (!readinessProbe) return void report(true);
  probe(
    run,
    'Readiness',
    { probe: readinessProbe, startedAt, signal: run.ended },
    (isReady) => void report(isReady),
  );
}

function probeLiveness(run: ProbedRun, startedAt: number): void {
  const { livenessProbe } = run.context.container;
  if (!livenessProbe) return;
  const signal = AbortSignal.any([run.ended, run.ending]);
  probe(run, 'Liveness', { probe: livenessProbe, startedAt, signal }, (isSuccess) => {
    if (!isSuccess) run.onFatal('liveness', livenessProbe);
  });
}

interface ProberStart {
  readonly probe: Probe;
  readonly startedAt: number;
  readonly signal: AbortSignal;
}

function probe(
  { context, onFailedAttempt }: ProbedRun,
  type: string,
  start: ProberStart,
  onVerdict: (isSuccess: boolean) => void,
): void {
  void runProber({
    ...start,
    attempt: (timeoutMs, signal) => runHandler(start.probe, context, timeoutMs, signal),
    onVerdict,
    onFailedAttempt: (why) => onFailedAttempt(type, why),
  });
}
