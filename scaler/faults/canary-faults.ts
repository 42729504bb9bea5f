/**
 * Faults of functions that name another one: a canary that gets no calls, or fewer than it asks for
 * (`slimfaas.dev/canary-of`), and a fallback that is not there (`slimfaas.dev/fallback`).
 */
import {
  byCanaryName,
  canaryProblem,
  type CanaryProblem,
  type CanaryShare,
} from '../../common/function/canary.ts';
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
    const { canary, fallback } = fn.spec;
    if (!canary && fallback?.kind !== 'function') return [];
    read();
    const keyOf = (name: string) => functionKey({ namespace: fn.id.namespace, name });
    const find = (name: string) => functions.get(keyOf(name));
    const siblings = canary ? (canaries.get(keyOf(canary.of)) ?? []).toSorted(byCanaryName) : [];
    const problem = canary && canaryProblem(fn, canary, find, siblings);
    return [
      ...(problem ? [unusable(ANNOTATION.canaryOf, canary.of, problem)] : []),
      ...fallbackFaults(fn, find),
    ];
  };
}

function fallbackFaults(
  { id, spec }: FunctionInfo,
  find: (name: string) => FunctionInfo | undefined,
): Fault[] {
  if (spec.fallback?.kind !== 'function') return [];
  const { name } = spec.fallback;
  const { namespace } = id;
  const isThere = name !== id.name && find(name) !== undefined;
  if (isThere) return [];
  const problem =
    name === id.name
      ? 'it names itself'
      : `there is no function ${JSON.stringify(name)} in namespace ${namespace}`;
  return [unusable(ANNOTATION.fallback, name, { problem, inForce: 'no fallback' })];
}

function unusable(annotation: string, value: string, { problem, inForce }: CanaryProblem): Fault {
  return invalidValue(`${annotation}: ${JSON.stringify(value)}: ${problem}; in force: ${inForce}`);
}

/** It stands while the version of the canary that was rolled back is there. */
export function canaryEndFault({ canaryEnd }: Pick<Workload, 'canaryEnd'>, { spec }: FunctionInfo): Fault[] {
  if (!canaryEnd || canaryEnd.isPromoted || !spec.canary) return [];
  const message = `the canary gets no calls of ${spec.canary.of}: ${canaryEnd.why}; deploy another version, or remove the annotation ${CANARY_END_ANNOTATION} of the workload`;
  return [{ reason: 'CanaryRolledBack', message }];
}
