/**
 * Whether a function can run jobs and hear events: both are the sidecars' work, so pods without one never take what is
 * queued for them. The pods that are there count first, as they are; for a function at zero its workload tells.
 */
import { ReasonError } from '../../../common/runtime/errors.ts';
import { functionKey } from '../../../common/bus/subjects.ts';
import type { FunctionEntry } from '../../functions/function-entry.ts';

type Entry = Pick<FunctionEntry, 'id' | 'view' | 'pods'>;

/** @throws ReasonError `no-sidecar` */
export function checkRunsJobs(entry: Entry): void {
  const why = whyNoJobs(entry);
  if (why !== undefined) throw refusal(entry, why);
}

/** The functions among the subscribers of an event that run jobs. @throws ReasonError `no-sidecar` when none of them can hear it */
export function thoseThatRunJobs<E extends Entry>(entries: readonly E[]): readonly E[] {
  const able = entries.filter((entry) => whyNoJobs(entry) === undefined);
  const [first] = entries;
  if (able.length > 0 || !first) return able;
  throw refusal(first, whyNoJobs(first) ?? 'its pods have none');
}

function whyNoJobs({ view, pods }: Entry): string | undefined {
  let hasPods = false;
  for (const { view: pod } of pods.all) {
    if (pod.isEnded || pod.isTerminating) continue;
    if (pod.hasSidecar) return undefined;
    hasPods = true;
  }
  if (view.noSidecar !== undefined || !hasPods) return view.noSidecar;
  return 'its pods were made without one; make them again (kubectl rollout restart)';
}

function refusal({ id }: Entry, why: string): ReasonError {
  const message = `${functionKey(id)} can run no jobs and hear no events, because it has no sidecar: ${why}; call it by /function/ instead`;
  return new ReasonError('no-sidecar', message);
}
