/**
 * What the scaler shows of itself: the same facts and words that its decisions were made of.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { readyPods, troublesOf } from '../observe/pods.ts';
import type { Fault } from '../faults/faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { JobDepth } from '../../common/queue/upkeep.ts';
import type { FunctionSample, JobCounts } from '../queries/function-gauges.ts';
import type { Reconciler } from '../loop/reconcile.ts';
import type { ScaledFunctionView } from './server.ts';
import type { LoggedDecision } from '../loop/decisions.ts';

type FunctionFacts = ReturnType<Reconciler['factsOf']>;

export function listFunctions(reconciler: Reconciler): ScaledFunctionView[] {
  const views: ScaledFunctionView[] = [];
  for (const workload of reconciler.observed.world.workloads())
    if (workload.fn) views.push(summary(reconciler, workload));
  return views.toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

export function showFunction(reconciler: Reconciler, id: FunctionId): ScaledFunctionView | undefined {
  const workload = reconciler.observed.world.workload(functionKey(id));
  if (!workload?.fn) return undefined;
  const facts = reconciler.factsOf(workload, workload.fn);
  return {
    ...summary(reconciler, workload),
    ...(facts && { facts: factsView(facts) }),
    faults: reconciler.faultsOf(workload).map(({ message }) => message),
    shares: Object.fromEntries(
      [...reconciler.sharesOf(workload.key)].map(([pod, grant]) => [pod, grant.granted]),
    ),
    decisions: reconciler.decisions.of(workload.key).map(decisionView),
  };
}

function factsView({ spec: _spec, nowMs, ...numbers }: NonNullable<FunctionFacts>): object {
  return { ...numbers, idleForSeconds: Math.floor((nowMs - numbers.idleSinceMs) / 1_000) };
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
  for (const workload of reconciler.observed.world.workloads()) {
    if (!workload.fn) continue;
    const activity = reconciler.observed.of(workload.key)?.activity;
    const decision = reconciler.decisions.last(workload.key);
    const running = activity?.runningNow() ?? 0;
    const desired = decision?.wanted ?? workload.replicas;
    yield {
      workload,
      desired,
      ready: readyPods(workload, reconciler.observed),
      faults: reconciler.faultsOf(workload).filter(isOfAnnotation).length,
      direction: desired > workload.replicas ? 'up' : desired < workload.replicas ? 'down' : 'hold',
      reason: decision === undefined ? 'none' : decision.kind === 'hold' ? decision.because : decision.kind,
      jobs: jobCounts(depthOf(workload.key), running),
      running,
      waiting: (activity?.waitingInProxies(nowMs) ?? 0) + (activity?.waitingInPods() ?? 0),
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

function summary(reconciler: Reconciler, workload: Workload): ScaledFunctionView {
  const last = reconciler.decisions.last(workload.key);
  return {
    name: workload.id.name,
    namespace: workload.id.namespace,
    kind: workload.kind,
    replicas: workload.replicas,
    ready: readyPods(workload, reconciler.observed),
    wanted: last?.wanted ?? workload.replicas,
    reason: last?.reason ?? 'not decided yet',
    troubles: troublesOf(workload, reconciler.observed),
    faults: reconciler.faultsOf(workload).length,
    ...canaryView(reconciler, workload),
  };
}

/** Empty for a function that is no canary. */
function canaryView(reconciler: Reconciler, workload: Workload): { canary?: object } {
  const canary = reconciler.canaryOf(workload);
  if (!canary) return {};
  const { canaryEnd: end } = workload;
  const ended = end && { at: end.at, why: end.why, isPromoted: end.isPromoted };
  return { canary: { ...canary, ...(ended && { ended }) } };
}

function isOfAnnotation({ reason }: Fault): boolean {
  return reason === 'InvalidAnnotation';
}
