/**
 * What happens to a day's callers under a rule that sets replicas: pods take a while to start, each does so much
 * work a second, the rest waits in line. One step a second; a caller who waits less than that counts as not
 * waiting. The same model for every rule, so that only the rules differ.
 */
export const POD = { startSeconds: 2, parallel: 5, callSeconds: 0.2 } as const;
const CALLS_PER_POD_SECOND = POD.parallel / POD.callSeconds;

/** What a rule sees of one second, after it has passed. */
export interface Second {
  readonly second: number;
  readonly started: number;
  readonly waiting: number;
  readonly readyPods: number;
  /** Calls running on average. */
  readonly running: number;
}

/** Answers the replicas that it wants from now on. */
export type Rule = (observed: Second) => number | Promise<number>;

export interface DayResult {
  readonly replicas: Uint16Array;
  readonly waiting: Uint32Array;
  readonly replicaSeconds: number;
  /** Sum over all callers of the seconds that they waited. */
  readonly waitedSeconds: number;
}

export async function runDay(calls: Uint16Array, rule: Rule): Promise<DayResult> {
  const replicas = new Uint16Array(calls.length);
  const waiting = new Uint32Array(calls.length);
  let pods: number[] = []; // for each pod the second from which it is ready
  let line = 0;
  for (let second = 0; second < calls.length; second++) {
    const readyPods = pods.filter((readyAt) => readyAt <= second).length;
    line += calls[second] ?? 0;
    const started = Math.min(line, Math.floor(readyPods * CALLS_PER_POD_SECOND));
    line -= started;
    replicas[second] = pods.length;
    waiting[second] = line;
    const running = started * POD.callSeconds;
    const wanted = await rule({ second, started, waiting: line, readyPods, running });
    pods = resized(pods, wanted, second + 1 + POD.startSeconds);
  }
  return { replicas, waiting, replicaSeconds: sum(replicas), waitedSeconds: sum(waiting) };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Newest pods go first, as in a Deployment's scale-down. */
function resized(pods: number[], wanted: number, readyAt: number): number[] {
  if (wanted <= pods.length) return pods.slice(0, wanted);
  return [...pods, ...Array.from({ length: wanted - pods.length }, () => readyAt)];
}
