/** `ScaleFromZero`: work that only a trigger's query shows wakes a function, sizes the wake, and keeps it up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import { Sim } from '../support/sim.ts';

const TIMEOUT = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '8' };

interface Options {
  readonly trigger?: object;
  readonly scale?: object;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly replicas?: number;
}

function worker({ trigger, scale, annotations, replicas = 0 }: Options = {}): Sim {
  const sim = new Sim();
  const triggers = [{ MetricName: 'work', Query: 'work', Threshold: 10, ...trigger }];
  const all = { ReplicaMax: 20, ScaleFromZero: true, Triggers: triggers, ...scale };
  sim.fn('fn', replicas, { ...TIMEOUT, 'SlimFaas/Scale': JSON.stringify(all), ...annotations });
  return sim;
}

const FREE = {
  Behavior: { ScaleUp: { Policies: [{ Type: 'Pods', Value: 20, PeriodSeconds: 15 }] } },
};

async function wokenTo(options: Options, value: number): Promise<number> {
  const sim = worker(options);
  sim.queries.set('work', value);
  await sim.pass(1);
  return sim.replicas('fn');
}

test('a query above its threshold for activation wakes a function that nobody calls', async () => {
  const sim = worker();
  sim.queries.set('work', 0);
  await sim.pass(60);
  assert.equal(sim.decision('fn'), 'asleep');
  sim.queries.set('work', 1);
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
  const reasons = sim.reconciler.decisions.of('default/fn').map(({ decision }) => decision.reason);
  assert.ok(
    reasons.some((reason) => /trigger work is 1, above 0; ReplicasAtStart 1, triggers want 1/.test(reason)),
    reasons.join('\n'),
  );
});

test('only with ScaleFromZero', async () => {
  assert.equal(await wokenTo({ scale: { ScaleFromZero: false } }, 73), 0);
});

test('how far a wake goes: what the triggers want, as policies and bounds allow, and ReplicasAtStart at least', async () => {
  assert.equal(await wokenTo({ scale: FREE }, 73), 8, 'the first step of SlimFaas’s example');
  assert.equal(await wokenTo({}, 73), 4, 'the default policies: 4 pods in one step');
  assert.equal(await wokenTo({ scale: { ...FREE, ReplicaMax: 5 } }, 73), 5);
  assert.equal(await wokenTo({ annotations: { 'SlimFaas/ReplicasAtStart': '3' } }, 1), 3);
  assert.equal(await wokenTo({ scale: FREE, trigger: { MetricType: 'Value' } }, 73), 8, 'of one replica');
  const percents = { ScaleUp: { Policies: [{ Type: 'Percent', Value: 100, PeriodSeconds: 15 }] } };
  assert.equal(await wokenTo({ scale: { Behavior: percents } }, 73), 1, 'no percentage of none');
  assert.equal(await wokenTo({ scale: FREE }, Number.MAX_VALUE), 20);
});

test('ActivationThreshold: at it the function sleeps on, above it wakes', async () => {
  const trigger = { ActivationThreshold: 5 };
  assert.deepEqual([await wokenTo({ trigger }, 5), await wokenTo({ trigger }, 5.1)], [0, 1]);
});

test('it stays up while there is work, grows with it, and sleeps a timeout after', async () => {
  const sim = worker({ scale: FREE });
  sim.queries.set('work', 20);
  await sim.pass(1);
  for (const pod of ['a', 'b']) sim.pod('fn', pod);
  const each = () => sim.podsOf('fn').forEach((pod) => sim.report('fn', pod));
  await sim.pass(600, each);
  assert.deepEqual([sim.replicas('fn'), sim.decision('fn')], [2, 'active']);
  sim.queries.set('work', 45);
  await sim.pass(1, each);
  assert.equal(sim.replicas('fn'), 5);
  sim.queries.set('work', 0);
  await sim.pass(7, each);
  assert.notEqual(sim.replicas('fn'), 0);
  await sim.pass(2, each);
  assert.equal(sim.replicas('fn'), 0);
});

test('a source that fails leaves the decision in force: a sleeper sleeps, and is told of as a fault', async () => {
  const sim = worker();
  sim.queries.set('work', 0);
  await sim.pass(5);
  sim.queries.delete('work');
  await sim.pass(30);
  assert.equal(sim.replicas('fn'), 0);
  const fault = 'SlimFaas/Scale: query "work": no data; in force: its last answer for 300 s, then none';
  assert.deepEqual(sim.faults.get('fn'), [fault]);
  sim.queries.set('work', 3);
  await sim.pass(1);
  assert.deepEqual([sim.replicas('fn'), sim.faults.get('fn')], [1, []]);
});

test('what was answered before it was put to sleep does not wake it again while its source is silent', async () => {
  const sim = worker({ replicas: 1 });
  sim.pod('fn', 'p');
  sim.queries.set('work', 3);
  await sim.pass(5, () => sim.report('fn', 'p'));
  sim.queries.delete('work');
  sim.scaleByHand('fn', 0);
  sim.podGone('p');
  await sim.pass(60);
  assert.equal(sim.replicas('fn'), 0);
});

test('without pods, what only they export is missing: no fault, and nothing wakes by it', async () => {
  const sim = worker();
  sim.ownQueries.add('work');
  await sim.pass(60);
  assert.deepEqual([sim.replicas('fn'), sim.faults.get('fn') ?? []], [0, []]);
  sim.queries.set('work', 3);
  await sim.pass(1);
  assert.equal(sim.replicas('fn'), 1, 'others do export it');
});

test('who sets 0 by hand is heard for one idle timeout', async () => {
  const sim = worker();
  sim.queries.set('work', 1);
  await sim.pass(1);
  sim.scaleByHand('fn', 0);
  await sim.pass(6);
  assert.equal(sim.replicas('fn'), 0);
  await sim.pass(3);
  assert.equal(sim.replicas('fn'), 1);
});

test('what it depends on is woken with it, and first', async () => {
  const sim = worker({ annotations: { 'SlimFaas/DependsOn': 'db' } });
  sim.fn('db');
  sim.queries.set('work', 1);
  await sim.pass(2);
  assert.deepEqual(sim.patches, ['db 0→1 wake']);
  sim.pod('db', 'db-0');
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['db 0→1 wake', 'fn 0→1 wake']);
});

test('an answer that has changed is acted upon at once, without a tick', async () => {
  const sim = worker();
  sim.queries.set('work', 0);
  await sim.pass(3);
  sim.queries.set('work', 12);
  sim.reconciler.onAnswers(['default/fn', 'default/nobody']);
  assert.deepEqual(sim.patches, []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(sim.patches, ['fn 0→2 wake']);
});

test('ScaleFromZero is read; without a trigger that has a query it is a fault', () => {
  const read = (scale: object) => {
    const { spec, faults } = parseAnnotations({ 'SlimFaas/Scale': JSON.stringify(scale) });
    return [spec.scale?.scaleFromZero, ...faults.map(({ problem }) => problem)];
  };
  const triggers = { Triggers: [{ Query: 'up', Threshold: 1 }] };
  assert.deepEqual(read({ ScaleFromZero: true, ...triggers }), [true]);
  assert.deepEqual(read({ scalefromzero: false, ...triggers }), [false]);
  assert.deepEqual(read({ ScaleFromZero: 1, ...triggers }), [
    false,
    'ScaleFromZero is not allowed; allowed: true or false',
  ]);
  assert.deepEqual(read({ ScaleFromZero: true, Triggers: [{ MetricName: 'queue', Threshold: 1 }] }), [
    false,
    'ScaleFromZero is not allowed; allowed: true beside a trigger with a Query or a Source',
  ]);
});

test('a query names nothing but its own function: another name is a fault, and the trigger is ignored', () => {
  const read = (query: string) => {
    const scale = JSON.stringify({ Triggers: [{ Query: query, Threshold: 1 }] });
    const { spec, faults } = parseAnnotations({ 'SlimFaas/Scale': scale });
    return [spec.scale?.triggers.length, ...faults.map(({ problem }) => problem)];
  };
  assert.deepEqual(read('x{a="${app}",b="${namespace}",c="${function}"}'), [1]);
  assert.deepEqual(read('x{a="${pod}",b="${app}",c="${Namespace}"}'), [
    0,
    'Triggers[0].Query is not allowed; allowed: of names in ${…} only ${app}, ${function}, ${namespace}, not ${pod}, ${Namespace}',
  ]);
  // What label_replace means by it.
  assert.deepEqual(read('label_replace(x, "a", "${1}-${who}", "b", "(.*)(?P<who>.)")'), [1]);
});
