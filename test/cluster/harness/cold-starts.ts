/** Cold starts one after the other, each with its phases, of a function and of a Deployment behind a Service. */
import { setTimeout as after } from 'node:timers/promises';
import type { Caller, TimedAnswer } from './caller.ts';
import { watchPods, type PodWatch } from './pod-watch.ts';
import { until, type Deployed, type World } from './world.ts';

/** Milliseconds since the call was sent; those of the app are from its own clock, set right by the caller's. */
export type ColdStart = Readonly<Record<string, number>>;

const ORDER = [
  'created',
  'scheduled',
  'address',
  'app process',
  'app listening',
  'app running',
  'sidecar running',
  'ready',
  'answered',
];

/** Puts the workload to sleep, and waits until none of its pods is left. */
async function sleep(fn: Deployed): Promise<void> {
  if ((await fn.replicas()) > 0) await fn.patch({ spec: { replicas: 0 } });
  await until(async () => (await fn.allPods()).length === 0, `${fn.name} sleeps`);
}

/**
 * The kubelet looks at its containers and reports what it sees once in that time. Starts that follow from what it
 * reported would all begin at the same moment of it, and a mean over them would be of that moment alone.
 */
const KUBELET_LOOKS_MS = 1_000;

interface Way {
  readonly fn: Deployed;
  /** Wakes it and waits for its first answer. */
  wake(): Promise<TimedAnswer>;
}

async function oneStart(world: World, { fn, wake }: Way, watch: PodWatch): Promise<ColdStart> {
  await sleep(fn);
  await after(Math.random() * KUBELET_LOOKS_MS);
  watch.take();
  const clock = await offsetOf(world);
  const { status, body, begunAt, endedAt } = await wake();
  if (status !== 200) throw new Error(`${fn.name}: ${status} ${body}`);
  await fn.waitForReady(1);
  const seen = Object.entries(watch.take()).map(([moment, at]) => [moment, at + clock - begunAt] as const);
  const { startedAt, listeningAt } = JSON.parse(body) as { startedAt: number; listeningAt: number };
  return {
    ...Object.fromEntries(seen),
    'app process': startedAt - begunAt,
    'app listening': listeningAt - begunAt,
    answered: endedAt - begunAt,
  };
}

/** How far the caller's clock is ahead of this process's. */
async function offsetOf(world: World): Promise<number> {
  const caller = await world.caller();
  const sentAt = Date.now();
  const { begunAt } = await caller.call(world.insideUrl + '/health');
  return begunAt - (sentAt + (Date.now() - sentAt) / 2);
}

/** @returns one list a way; the ways take turns, so that what disturbs one disturbs the other */
export async function measureColdStarts(
  world: World,
  ways: readonly Way[],
  count: number,
): Promise<ColdStart[][]> {
  const watches = await Promise.all(
    ways.map(({ fn }) => watchPods(world.context.apiUrl, world.namespace, `app=${fn.name}`)),
  );
  const starts: ColdStart[][] = ways.map(() => []);
  try {
    for (let i = 0; i <= count; i += 1) {
      for (const [index, way] of ways.entries()) {
        const start = await oneStart(world, way, watches[index] as PodWatch);
        // The first one also fills the disk cache of the node.
        if (i > 0) starts[index]?.push(start);
      }
    }
    return starts;
  } finally {
    for (const watch of watches) watch.close();
    for (const { fn } of ways) await fn.patch({ spec: { replicas: 0 } });
  }
}

export function functionWay(world: World, caller: Caller, fn: Deployed): Way {
  return { fn, wake: () => caller.call(`${world.insideUrl}/function/${fn.route}/hello`) };
}

/** `kubectl scale`, without the time that kubectl needs to start, and a caller who tries the Service. */
export function serviceWay(caller: Caller, fn: Deployed, url: string): Way {
  return {
    fn,
    async wake() {
      const answer = caller.poll(url);
      await fn.patch({ spec: { replicas: 1 } });
      return answer;
    },
  };
}

export function quantile(starts: readonly ColdStart[], phase: string, p: number): number {
  const sorted = starts.flatMap((start) => start[phase] ?? []).toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

/** `p50 0.95 s, p95 1.2 s; created 0.04, …`, in the order of the median. */
export function describeStarts(starts: readonly ColdStart[]): string {
  const seconds = (phase: string, p: number): string => (quantile(starts, phase, p) / 1_000).toFixed(2);
  const known = ORDER.filter((phase) => starts.some((start) => phase in start));
  const sorted = known.toSorted((a, b) => quantile(starts, a, 0.5) - quantile(starts, b, 0.5));
  const phases = sorted.map((phase) => `${phase} ${seconds(phase, 0.5)}`);
  const { length } = starts;
  return `${length} starts: p50 ${seconds('answered', 0.5)} s, p95 ${seconds('answered', 0.95)} s (${phases.join(', ')})`;
}
