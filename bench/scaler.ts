/**
 * The scaler at size: 10,000 functions with 30,000 pods and 1,000 activity reports a second in one process, and
 * wakes in the midst of them. How long a tick takes, how late a wake's patch leaves (the event loop's delay by
 * ticks and reports included), and what all of it weighs. Reports and wakes are bytes to be decoded, as from
 * NATS; the patch is counted when it is handed to the Kubernetes client.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../common/runtime/log.ts';
import { decodeActivity, decodeWake, encodeMessage } from '../common/bus/messages.ts';
import { FUNCTION_LABEL, SIDECAR_CONTAINER } from '../common/function/names.ts';
import { createLoadAdvisor } from '../scaler/load/load-advisor.ts';
import { Reconciler } from '../scaler/loop/reconcile.ts';
import { Observer } from '../scaler/observe/observer.ts';
import { Slicer, type PassTiming, type Slice } from '../scaler/loop/slicer.ts';
import { percentile, type Bench, type Row } from './lib/bench.ts';

const FUNCTIONS = 10_000;
const PODS = 3;
const REPORTS_PER_SECOND = 1_000;
const WAKES_PER_SECOND = 50;
/** Every tenth function sleeps, so that there is something to wake. */
const isAsleep = (i: number) => i % 10 === 0;

export const bench: Bench = {
  name: 'scaler',
  describe: '10,000 functions, 30,000 pods, 1,000 reports a second: tick, wake-to-patch, memory',
  async run({ quick, say }) {
    const patched = new Map<string, () => void>();
    const passes: PassTiming[] = [];
    const cpu: number[] = [];
    const slicer = new Slicer({ onPass: (timing) => void passes.push(timing) });
    const run = (pass: () => Slice) => slicer.run(() => withCpu(pass(), (ms) => cpu.push(ms)));
    const reconciler = createReconciler(run, (name) => patched.get(name)?.());
    const rssBefore = process.memoryUsage.rss();
    populate(reconciler);
    say('populated');
    const wakes = await drive(reconciler, patched, quick ? 20 : 60);
    slicer.stop();
    cpu.shift();
    passes.shift(); // the first decides on everything, and is compiled meanwhile
    global.gc?.();
    const mebibytes = (process.memoryUsage.rss() - rssBefore) / 2 ** 20;
    return [
      ...quantiles(
        'tick',
        passes.map(({ busyMs }) => busyMs),
      ),
      ...quantiles('tick, CPU of its thread', cpu),
      ...quantiles(
        "a tick's longest slice",
        passes.map(({ longestSliceMs }) => longestSliceMs),
      ),
      ...quantiles('wake to patch', wakes),
      { case: 'memory', metric: 'added by functions, pods and reports', value: mebibytes, unit: 'MiB' },
      { case: 'memory', metric: 'resident in all', value: process.memoryUsage.rss() / 2 ** 20, unit: 'MiB' },
    ];
  },
};

function createReconciler(run: (pass: () => Slice) => void, onPatch: (name: string) => void): Reconciler {
  const advisor = createLoadAdvisor({
    jobsOf: () => ({ ready: 0, total: 0, perSecond: undefined }),
    queries: { resultOf: () => ({ kind: 'no-data' }), faultOf: () => undefined, asksOwnPods: () => false },
  });
  const reconciler = new Reconciler({
    observer: new Observer(Date.now),
    run,
    now: Date.now,
    log: silentLog,
    onFailed: (_path, _object, error) => {
      throw error;
    },
    jobsOf: () => 0,
    advisor,
    effects: {
      isLeader: () => true,
      async scale({ workload, to }) {
        onPatch(workload.id.name);
        return { kind: 'done', replicas: to, resourceVersion: String(++version) };
      },
      rollBack: () => Promise.resolve(),
      publishShares: () => {},
      onDecision: () => {},
      onScaled: () => {},
      onFaults: () => {},
    },
  });
  reconciler.onNats(true);
  return reconciler;
}

let version = 0;

function populate(reconciler: Reconciler): void {
  for (let i = 0; i < FUNCTIONS; i++) {
    setReplicas(reconciler, i, isAsleep(i) ? 0 : PODS);
    if (isAsleep(i)) continue;
    for (let pod = 0; pod < PODS; pod++) reconciler.onPod(podObject(i, pod));
  }
  reconciler.onSynced(true);
}

function setReplicas(reconciler: Reconciler, i: number, replicas: number): void {
  const annotations = {
    'SlimFaas/Function': 'true',
    // A third each: the default rule over all pods, a limit a pod, nothing but sleep.
    ...(i % 3 === 0 ? { 'SlimFaas/NumberParallelRequest': '30' } : {}),
    ...(i % 3 === 1 ? { 'SlimFaas/NumberParallelRequestPerPod': '5' } : {}),
  };
  reconciler.onWorkload('Deployment', {
    metadata: { name: `f${i}`, namespace: 'bench', uid: `uid-${i}`, resourceVersion: String(++version) },
    spec: { replicas, selector: {}, template: { metadata: { annotations } } },
  });
}

function podObject(i: number, pod: number) {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `f${i}-h`, uid: 'r', controller: true };
  return {
    metadata: {
      name: `f${i}-h-${pod}`,
      namespace: 'bench',
      labels: { [FUNCTION_LABEL]: `f${i}`, 'pod-template-hash': 'h' },
      ownerReferences: [owner],
    },
    spec: { containers: [{ name: 'app' }, { name: SIDECAR_CONTAINER }] },
    status: { phase: 'Running', podIP: '10.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

/** What a pass costs, whatever else the machine does meanwhile. */
function withCpu(slice: Slice, onPass: (ms: number) => void): Slice {
  let sumMs = 0;
  return (mayGoOn) => {
    const before = process.threadCpuUsage();
    const isDone = slice(mayGoOn);
    const { user, system } = process.threadCpuUsage(before);
    sumMs += (user + system) / 1_000;
    if (isDone) onPass(sumMs);
    return isDone;
  };
}

/** @returns how long each wake took, in ms */
async function drive(
  reconciler: Reconciler,
  patched: Map<string, () => void>,
  seconds: number,
): Promise<number[]> {
  const wakes: number[] = [];
  const reports = setInterval(() => reportSome(reconciler, REPORTS_PER_SECOND / 50), 20);
  const ticker = setInterval(() => reconciler.tick(), 1_000);
  const end = performance.now() + seconds * 1_000;
  let due = performance.now();
  for (let n = 0; performance.now() < end; n++) {
    due += 1_000 / WAKES_PER_SECOND;
    await delay(Math.max(0, due - performance.now()));
    wakeOne(reconciler, patched, { i: (n % (FUNCTIONS / 10)) * 10, due, wakes });
  }
  clearInterval(reports);
  clearInterval(ticker);
  return wakes;
}

let nextReport = 0;

function reportSome(reconciler: Reconciler, count: number): void {
  for (let n = 0; n < count; n++) {
    nextReport = (nextReport + 7) % (FUNCTIONS * PODS);
    const i = Math.floor(nextReport / PODS);
    if (isAsleep(i)) continue;
    const message = {
      source: 'sidecar',
      pod: `f${i}-h-${nextReport % PODS}`,
      running: 1.5,
      runningNow: 1,
      waiting: 0,
      started: 3,
      finished: 3,
      failed: 0,
      windowMs: 1_000,
      limit: 10,
    } as const;
    reconciler.onActivity({ namespace: 'bench', name: `f${i}` }, decodeActivity(encodeMessage(message)));
  }
}

/** Measured from when the wake was due: an event loop that is late is late for the caller too. */
function wakeOne(
  reconciler: Reconciler,
  patched: Map<string, () => void>,
  { i, due, wakes }: { i: number; due: number; wakes: number[] },
): void {
  const name = `f${i}`;
  patched.set(name, () => {
    patched.delete(name);
    wakes.push(Math.max(0, performance.now() - due)); // a timer may be a fraction of a ms early
    setImmediate(() => setReplicas(reconciler, i, 0)); // asleep again for the next round
  });
  const message = encodeMessage({ from: 'proxy', waiting: 1 });
  reconciler.onWake({ namespace: 'bench', name }, decodeWake(message));
}

function quantiles(name: string, values: readonly number[]): Row[] {
  const sorted = values.toSorted((a, b) => a - b);
  const row = (metric: string, p: number) => ({
    case: name,
    metric,
    value: percentile(sorted, p),
    unit: 'ms',
  });
  return [
    row('p50', 0.5),
    row('p95', 0.95),
    row('p99', 0.99),
    { case: name, metric: 'count', value: values.length, unit: '' },
  ];
}
