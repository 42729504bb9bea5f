/** Faults of `slimfaas.dev/canary-of`: a canary that gets no calls, or fewer than it asks for. */
import { byCanaryName, canaryProblem, type CanaryShare } from '../../common/function/canary.ts';
import { ANNOTATION } from '../../common/function/annotations/index.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { CANARY_END_ANNOTATION } from '../../common/function/canary-end.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { WorldView } from '../world/world.ts';
import { invalidValue, type Fault } from './faults.ts';

export function canaryFaults(
  world: Pick<WorldView, 'specVersion' | 'workloads'>,
): (fn: FunctionInfo) => readonly Fault[] {
  let version = -1;
  const functions = new Map<string, FunctionInfo>();
  const canaries = new Map<string, CanaryShare[]>();
  const read = () => {
    if (version === world.specVersion) return;
    version = world.specVersion;
    functions.clear();
    canaries.clear();
    for (const { key, fn } of world.workloads()) {
      if (!fn) continue;
      functions.set(key, fn);
      if (!fn.spec.canary) continue;
      const stable = functionKey({ namespace: fn.id.namespace, name: fn.spec.canary.of });
      const { weightPercent } = fn.spec.canary;
      canaries.set(stable, [...(canaries.get(stable) ?? []), { name: fn.id.name, weightPercent }]);
    }
  };
  return (fn) => {
    const { canary } = fn.spec;
    if (!canary) return [];
    read();
    const { namespace } = fn.id;
    const keyOf = (name: string) => functionKey({ namespace, name });
    const siblings = (canaries.get(keyOf(canary.of)) ?? []).toSorted(byCanaryName);
    const found = canaryProblem(fn, canary, (name) => functions.get(keyOf(name)), siblings);
    if (!found) return [];
    const message = `${ANNOTATION.canaryOf}: ${JSON.stringify(canary.of)}: ${found.problem}; in force: ${found.inForce}`;
    return [invalidValue(message)];
  };
}

/** It stands while the version of the canary that was rolled back is there. */
export function canaryEndFault({ canaryEnd }: Pick<Workload, 'canaryEnd'>, { spec }: FunctionInfo): Fault[] {
  if (!canaryEnd || canaryEnd.isPromoted || !spec.canary) return [];
  const message = `the canary gets no calls of ${spec.canary.of}: ${canaryEnd.why}; deploy another version, or remove the annotation ${CANARY_END_ANNOTATION} of the workload`;
  return [{ reason: 'CanaryRolledBack', message }];
}
