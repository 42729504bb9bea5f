/** What stands is not decided again each second, and it makes no difference but to the processor. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { functionKey } from '../../../common/bus/subjects.ts';
import { decide } from '../../../scaler/decide/decide.ts';
import { steadyUntil } from '../../../scaler/loop/steady.ts';
import { factsOf } from '../support/facts.ts';
import { Sim } from '../support/sim.ts';

const PER_POD = { 'SlimFaas/NumberParallelRequest': '10' };
const SCHEDULE = { 'SlimFaas/Schedule': '{"Default":{"WakeUp":["07:00"]}}' };

describe('until when a decision stands', () => {
  const demand = { by: 'wake', isCall: true } as const;
  const table: [what: string, facts: Parameters<typeof factsOf>, untilMs: number][] = [
    ['asleep', [], Infinity],
    ['busy', [{ replicas: 1, running: 1 }], Infinity],
    ['paused', [{ replicas: 1 }, { 'slimfaas.dev/paused': 'true' }], Infinity],
    ['at its minimum', [{ replicas: 1 }, { 'SlimFaas/ReplicasMin': '1' }], Infinity],
    ['idle, until its timeout', [{ replicas: 1, idleSinceMs: 990_000 }], 1_290_000],
    ['idle with timeout 0', [{ replicas: 1, idleTimeoutSeconds: 0 }], 1_002_000],
    ['on its way to sleep', [{ replicas: 1, idleSinceMs: 0 }], -Infinity],
    ['silent', [{ replicas: 1, idleSinceMs: 0, blind: 'p is silent' }], -Infinity],
    ['wanted', [{ demand }], -Infinity],
    ['with callers who may leave', [{ replicas: 1, waiting: 1 }], -Infinity],
    ['with triggers', [{ replicas: 1, running: 1 }, PER_POD], -Infinity],
    ['with triggers, asleep', [{}, PER_POD], Infinity],
    ['with a schedule', [{}, SCHEDULE], -Infinity],
    ['set by others', [{ setByOthers: 0 }], -Infinity],
    [
      'held below its minimum by somebody',
      [{ replicas: 1, setByOthers: 1 }, { 'SlimFaas/ReplicasMin': '2' }],
      -Infinity,
    ],
    ['an autoscaler’s', [{ replicas: 2, autoscalerMin: 1 }], -Infinity],
    ['in a cold start', [{ replicas: 1, isColdStart: true }], -Infinity],
    [
      'that starts with any',
      [{}, { 'SlimFaas/ReplicasStartAsSoonAsOneFunctionRetrieveARequest': 'true' }],
      -Infinity,
    ],
  ];
  for (const [what, given, expected] of table) {
    test(`a function ${what}`, () => {
      const facts = factsOf(...given);
      assert.equal(steadyUntil(facts, decide(facts), false), expected);
    });
  }
  test('a function that others depend on, or that depends on others', () => {
    const facts = factsOf();
    assert.equal(steadyUntil(facts, decide(facts), true), -Infinity);
  });
});

/** How often a tick really looked: a look asks for the number of jobs. */
function counting() {
  const sim = new Sim();
  let looks = 0;
  const { jobs } = sim;
  sim.jobs.get = (key) => {
    looks += 1;
    return Map.prototype.get.call(jobs, key) as number | undefined;
  };
  const since = () => {
    const seen = looks;
    looks = 0;
    return seen;
  };
  return { sim, since };
}

test('a sleeping function and a busy one are not looked at again, whatever time passes', async () => {
  const { sim, since } = counting();
  sim.fn('asleep');
  sim.fn('busy', 1);
  sim.pod('busy', 'p');
  const busy = () => sim.report('busy', 'p', { running: 1, runningNow: 1, started: 1 });
  await sim.pass(2, busy);
  since();
  await sim.pass(1_000, busy);
  assert.equal(since(), 0);
  assert.deepEqual([sim.decision('asleep'), sim.decision('busy')], ['asleep', 'active']);
});

test('a report that contradicts what stands ends it: callers wait, though no wake was heard', async () => {
  const sim = new Sim();
  sim.fn('fn');
  await sim.pass(5);
  sim.report('fn', 'proxy-1', { source: 'proxy', waiting: 3 });
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('busy and idle in turn is shown as such within a tick', async () => {
  const sim = new Sim();
  sim.fn('fn', 1);
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(2);
  assert.equal(sim.decision('fn'), 'idle-clock');
  sim.report('fn', 'p', { running: 1, runningNow: 1, started: 1 });
  await sim.pass(1);
  assert.equal(sim.decision('fn'), 'active');
  sim.report('fn', 'p');
  await sim.pass(1);
  assert.equal(sim.decision('fn'), 'idle-clock');
});

test('a sidecar’s last word on a call, after which it is silent for ten seconds, starts the idle clock', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '3' });
  sim.pod('fn', 'p');
  sim.report('fn', 'p', { running: 1, runningNow: 1, started: 1 });
  await sim.pass(1);
  // The call ended within this second: it ran in it, and nothing runs now.
  sim.report('fn', 'p', { running: 0.3, runningNow: 0, finished: 1 });
  await sim.pass(1);
  assert.equal(sim.decision('fn'), 'idle-clock');
  await sim.pass(2);
  assert.equal(sim.replicas('fn'), 0);
});

test('what concerns all ends it: NATS, watches, annotations, autoscalers, a clock that goes back', async () => {
  const { sim, since } = counting();
  sim.fn('fn');
  await sim.pass(2);
  since();
  const ends: [what: string, happen: () => void][] = [
    ['NATS gone', () => sim.reconciler.onNats(false)],
    ['NATS back', () => sim.reconciler.onNats(true)],
    ['the watch cut', () => sim.reconciler.onSynced(false)],
    ['another function', () => sim.fn('other')],
    [
      'an autoscaler',
      () =>
        sim.reconciler.onAutoscaler({
          key: 'default/a',
          ownerKey: 'Deployment/default/fn',
          minReplicas: 1,
        }),
    ],
    ['the clock', () => (sim.nowMs -= 10_000)],
  ];
  for (const [what, happen] of ends) {
    happen();
    since();
    await sim.pass(1);
    assert.ok(since() > 0, what);
    await sim.pass(1);
  }
});

const NAMES = ['plain', 'short', 'limited', 'kept', 'front', 'back', 'eager', 'timed'];
const ANNOTATIONS: Record<string, Record<string, string>> = {
  plain: { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '20' },
  short: { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0' },
  limited: { ...PER_POD, 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '30' },
  kept: { 'SlimFaas/ReplicasMin': '2', 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '15' },
  front: { 'SlimFaas/DependsOn': 'back', 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '20' },
  back: { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '5' },
  eager: {
    'SlimFaas/ReplicasStartAsSoonAsOneFunctionRetrieveARequest': 'true',
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '10',
  },
  timed: { ...SCHEDULE, 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '10' },
};

const KINDS = [
  ...([
    'pass',
    'pass',
    'wake',
    'busy',
    'ended',
    'idle',
    'proxy',
    'podUp',
    'podGone',
    'hand',
    'jobs',
  ] as const),
  ...(['nats', 'deploy'] as const),
] as const;

interface Step {
  readonly kind: (typeof KINDS)[number];
  readonly name: string;
  readonly n: number;
}

const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom(...KINDS),
    name: fc.constantFrom(...NAMES),
    n: fc.integer({ min: 0, max: 40 }),
  }),
  { minLength: 5, maxLength: 60 },
);

/** @param forgets what stands is forgotten before each tick, so that all is decided again */
async function play(history: readonly Step[], forgets: boolean): Promise<unknown[]> {
  const sim = new Sim({ startMs: Date.UTC(2026, 0, 5, 6, 59) });
  for (const name of NAMES) sim.fn(name, 0, ANNOTATIONS[name]);
  const seen: unknown[] = [];
  const forget = () => {
    // An autoscaler may concern any function; this one has none.
    const ownerKey = 'Deployment/default/nobody';
    if (forgets) sim.reconciler.onAutoscaler({ key: 'default/hpa', ownerKey, minReplicas: 1 });
  };
  for (const step of history) {
    await apply(sim, step, forget);
    await sim.pass(1, forget);
    seen.push([step, NAMES.map((name) => [sim.replicas(name), sim.decision(name)])]);
  }
  return [...seen, sim.patches];
}

async function apply(sim: Sim, { kind, name, n }: Step, forget: () => void): Promise<void> {
  const pod = `${name}-p`;
  const isUp = sim.podsOf(name).includes(pod);
  if (kind === 'pass') return sim.pass(n, forget);
  if (kind === 'wake') return void (await sim.wake(name, n));
  if (kind === 'busy' && isUp) sim.report(name, pod, { running: n, runningNow: n, started: 1 });
  if (kind === 'ended' && isUp) sim.report(name, pod, { running: n / 50, runningNow: 0, finished: 1 });
  if (kind === 'idle' && isUp) sim.report(name, pod);
  if (kind === 'proxy') sim.report(name, 'proxy', { source: 'proxy', runningNow: n % 3, waiting: n % 2 });
  if (kind === 'podUp') sim.pod(name, pod, { isReady: n > 10 });
  if (kind === 'podGone') sim.podGone(pod);
  if (kind === 'hand') sim.scaleByHand(name, n % 3);
  if (kind === 'nats') sim.reconciler.onNats(n % 2 === 0);
  if (kind === 'deploy') sim.fn(name, sim.replicas(name), { ...ANNOTATIONS[name], note: String(n) });
  if (kind !== 'jobs') return;
  const key = functionKey({ namespace: 'default', name });
  sim.jobs.set(key, n % 4);
  sim.reconciler.onJobs(key);
}

test('whatever happens, deciding only on what may have changed decides the same as deciding on everything', async () => {
  const same = fc.asyncProperty(steps, async (history) => {
    assert.deepEqual(await play(history, false), await play(history, true));
  });
  await fc.assert(same, { numRuns: 150 });
});
