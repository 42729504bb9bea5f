/**
 * What the scaler shows of itself: the same facts and words that its decisions were made of.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import { readyPods, troublesOf } from '../facts/pod-facts.ts';
import type { Fault } from '../faults/faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { JobDepth } from '../../common/queue/upkeep.ts';
import type { FunctionSample, JobCounts } from './metrics.ts';
import type { Reconciler } from '../loop/reconcile.ts';
import type { FunctionView } from './server.ts';
import type { LoggedDecision } from '../facts/state.ts';

export function listFunctions(reconciler: Reconciler): FunctionView[] {
  const views: FunctionView[] = [];
  for (const workload of reconciler.world.workloads())
    if (workload.fn) views.push(summary(reconciler, workload, workload.fn));
  return views.toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

export function showFunction(reconciler: Reconciler, id: FunctionId): FunctionView | undefined {
  const workload = reconciler.world.workload(functionKey(id));
  if (!workload?.fn) return undefined;
  const { facts, state, faults } = reconciler.explain(workload, workload.fn);
  const { spec: _spec, nowMs: _nowMs, ...numbers } = facts;
  return {
    ...summary(reconciler, workload, workload.fn),
    facts: { ...numbers, idleForSeconds: Math.floor((facts.nowMs - facts.idleSinceMs) / 1_000) },
    faults: faults.map(({ message }) => message),
    shares: Object.fromEntries([...state.ledger].map(([pod, grant]) => [pod, grant.granted])),
    decisions: state.decisions.map(decisionView),
  };
}

function decisionView({ atMs, from, decision, numbers }: LoggedDecision): object {
  const { idleMs, readyPods, ...counts } = numbers;
  return {
    at: new Date(atMs).toISOString(),
    from,
    to: decision.wanted,
    kind: decision.kind === 'hold' ? decision.because : decision.kind,
    reason: decision.reason,
    numbers: { ready: readyPods, ...counts, idleForSeconds: Math.max(0, Math.floor(idleMs / 1_000)) },
  };
}

/** For the metrics; every function once. */
export function* samplesOf(
  reconciler: Reconciler,
  depthOf: (key: string) => JobDepth | undefined,
  nowMs: number,
): Generator<FunctionSample> {
  const surroundings = { world: reconciler.world, stateOf: (key: string) => reconciler.state(key) };
  for (const workload of reconciler.world.workloads()) {
    if (!workload.fn) continue;
    const state = reconciler.state(workload.key);
    const decision = state?.decisions.at(-1)?.decision;
    const running = state?.activity.runningNow() ?? 0;
    const desired = decision?.wanted ?? workload.replicas;
    yield {
      workload,
      desired,
      ready: readyPods(workload, surroundings),
      faults: reconciler.faultsOf(workload, workload.fn).filter(isOfAnnotation).length,
      direction: desired > workload.replicas ? 'up' : desired < workload.replicas ? 'down' : 'hold',
      reason: decision === undefined ? 'none' : decision.kind === 'hold' ? decision.because : decision.kind,
      jobs: jobCounts(depthOf(workload.key), running),
      running,
      waiting: (state?.activity.waitingInProxies(nowMs) ?? 0) + (state?.activity.waitingInPods() ?? 0),
    };
  }
}

/**
 * JetStream knows what was delivered, but not what runs: a job that waits for its retry is delivered too.
 * Sidecars know what runs, calls and jobs together. So no more jobs run than either number says.
 */
function jobCounts(depth: JobDepth | undefined, running: number): JobCounts {
  if (!depth) return { ready: 0, inFlight: 0, retryPending: 0 };
  const inFlight = Math.min(depth.delivered, running);
  return { ready: depth.ready, inFlight, retryPending: depth.delivered - inFlight };
}

function summary(reconciler: Reconciler, workload: Workload, fn: FunctionInfo): FunctionView {
  const state = reconciler.state(workload.key);
  const surroundings = { world: reconciler.world, stateOf: (key: string) => reconciler.state(key) };
  const last = state?.decisions.at(-1);
  return {
    name: workload.id.name,
    namespace: workload.id.namespace,
    kind: workload.kind,
    replicas: workload.replicas,
    ready: readyPods(workload, surroundings),
    wanted: last?.decision.wanted ?? workload.replicas,
    reason: last?.decision.reason ?? 'not decided yet',
    troubles: troublesOf(workload, surroundings),
    faults: reconciler.faultsOf(workload, fn).length,
  };
}

function isOfAnnotation({ reason }: Fault): boolean {
  return reason === 'InvalidAnnotation';
}
