/**
 * The rules of the simulated day. Ours is the production code: the scaler's own reconciler with a clock that is
 * pushed on. The other is what SlimFaas's documentation describes, without `SlimFaas/Scale`: a decision each
 * second, pods looked at every three, ReplicasAtStart while there was a call within the timeout, else zero.
 */
import { Sim } from '../../test/scaler/support/sim.ts';
import { POD, type Rule } from './day-model.ts';

const NAME = 'day';
export const IDLE_SECONDS = 300;
export const PARALLEL_LIMIT = 50;

export function ourRule(): Rule {
  const sim = new Sim({ startMs: Date.UTC(2026, 10, 23) });
  sim.fn(NAME, 0, {
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': String(IDLE_SECONDS),
    'SlimFaas/NumberParallelRequest': String(PARALLEL_LIMIT),
    'SlimFaas/NumberParallelRequestPerPod': String(POD.parallel),
  });
  return async ({ started, waiting, readyPods, running }) => {
    sim.nowMs += 1_000;
    showPods(sim, readyPods);
    const share = Math.max(1, readyPods);
    for (const pod of sim.podsOf(NAME)) {
      sim.report(NAME, pod, {
        running: running / share,
        runningNow: Math.round(running / share),
        started: started / share,
        finished: started / share,
      });
    }
    if (waiting > 0) {
      if (readyPods === 0) await sim.wake(NAME, waiting);
      sim.report(NAME, 'proxy', { source: 'proxy', waiting });
    }
    sim.reconciler.tick();
    await new Promise<void>((resolve) => setImmediate(resolve));
    return sim.replicas(NAME);
  };
}

/** Pods come and go as the model says; what a watch would tell. */
function showPods(sim: Sim, count: number): void {
  const pods = sim.podsOf(NAME);
  for (const pod of pods.slice(count)) sim.podGone(pod);
  for (let i = pods.length; i < count; i++) sim.pod(NAME, `${NAME}-h-${i}`);
}

export function slimFaasRule(replicasAtStart: number): Rule {
  let lastCallAt = -Infinity;
  let observedReady = 0;
  return ({ second, started, waiting, readyPods }) => {
    // Its list of pods is up to three seconds old; a caller counts as a call when it comes.
    if (second % 3 === 0) observedReady = readyPods;
    if (started > 0 || waiting > 0) lastCallAt = second;
    if (second - lastCallAt > IDLE_SECONDS && observedReady === readyPods) return 0;
    return second - lastCallAt <= IDLE_SECONDS ? replicasAtStart : readyPods;
  };
}
