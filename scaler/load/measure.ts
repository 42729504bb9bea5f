/** What the parts report about one function, as the values of the built-in metrics. Pure. */
import type { ActivityView } from '../observe/activity.ts';
import type { BuiltInLoad } from '../../common/function/built-in-triggers.ts';
import { builtInValue, CONCURRENCY_AND_QUEUE } from '../sizing/triggers.ts';

export interface JobLoad {
  /** Jobs that no pod has taken; undefined: never read. */
  readonly ready: number | undefined;
  /** All that are not finished. */
  readonly total: number;
  readonly perSecond: number | undefined;
}

/**
 * Callers that wait would run if they could. Before the first report of a sidecar they are all that is known. They
 * are a lower bound, which may raise the count. What lowers it is checked against missing data by the rules.
 */
export function measure(activity: ActivityView, jobs: JobLoad, nowMs: number): BuiltInLoad {
  const load = activity.load(nowMs);
  const waiting = activity.waitingForPods(nowMs) + activity.waitingInPods();
  return {
    concurrency: load ? load.running + waiting : waiting > 0 ? waiting : undefined,
    rps: load?.startedPerSecond,
    queue: jobs.ready === undefined ? undefined : queued(jobs.ready, jobs.total, activity.jobsNow()),
    messageRate: jobs.perSecond,
  };
}

/**
 * JetStream is asked once per second, and sidecars report within it. A job that a pod has just taken is in both, and
 * one job would want two pods. Of all jobs no more can wait than are not running.
 */
function queued(ready: number, total: number, running: number): number {
  return Math.min(ready, Math.max(0, total - running));
}

/** Without JetStream there are no jobs, and the default rule goes by concurrency alone. */
export function valueOfMetric(name: string, load: BuiltInLoad): number | undefined {
  if (name !== CONCURRENCY_AND_QUEUE) return builtInValue(name, load);
  return builtInValue(name, { ...load, queue: load.queue ?? 0 });
}
