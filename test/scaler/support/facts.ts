/** Facts of a function that is asleep and that nobody wants, for tables that say only what differs. */
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { FunctionSpec } from '../../../common/function/spec.ts';
import type { Facts } from '../../../scaler/decide/types.ts';

export function specOf(annotations: Readonly<Record<string, string>> = {}): FunctionSpec {
  return parseAnnotations({ 'SlimFaas/Function': 'true', ...annotations }).spec;
}

export function factsOf(
  changes: Partial<Facts> = {},
  annotations: Readonly<Record<string, string>> = {},
): Facts {
  const spec = specOf(annotations);
  return {
    spec,
    nowMs: 1_000_000,
    replicas: 0,
    readyPods: 0,
    isColdStart: false,
    createdPods: 0,
    isObserved: true,
    dueNudge: undefined,
    nudgedAtMs: undefined,
    troubles: [],
    autoscalerMin: undefined,
    demand: undefined,
    running: 0,
    waiting: 0,
    jobs: 0,
    direct: 0,
    idleSinceMs: 1_000_000,
    idleTimeoutSeconds: spec.idleTimeoutSeconds,
    awakeDependents: [],
    unreadyDependencies: [],
    blind: undefined,
    setByOthers: undefined,
    load: undefined,
    triggers: {},
    ...changes,
  };
}

/** `wake 3`, `hold asleep 0`: a decision in a table. */
export function brief(decision: { kind: string; wanted: number; because?: string }): string {
  const because = decision.kind === 'hold' ? ` ${decision.because}` : '';
  return `${decision.kind}${because} ${decision.wanted}`;
}
