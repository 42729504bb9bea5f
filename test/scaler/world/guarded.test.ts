/** What one function's facts bring out of the rules costs that function alone, and people see it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sim } from '../support/sim.ts';

test('a function that cannot be decided stays as it is, says so, and keeps nobody else from being decided', async () => {
  const sim = new Sim();
  const idle = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '5' };
  for (const name of ['a', 'bad', 'z']) {
    sim.fn(name, 1, idle);
    sim.pod(name, `${name}-pod`);
    sim.report(name, `${name}-pod`);
  }
  const { jobs } = sim;
  sim.jobsOf = (key) => {
    if (key === 'default/bad') throw new RangeError('out of range');
    return jobs.get(key) ?? 0;
  };
  await sim.pass(20);
  assert.deepEqual([sim.replicas('a'), sim.replicas('bad'), sim.replicas('z')], [0, 1, 0]);
  await sim.wake('z');
  assert.equal(sim.replicas('z'), 1, 'wakes go on too');
  assert.equal(sim.failures[0], 'decision/Deployment bad');
  assert.deepEqual(sim.faults.get('bad'), ['cannot be decided (out of range); left at 1 replicas']);
  sim.jobsOf = undefined;
  await sim.pass(20);
  assert.equal(sim.replicas('bad'), 0, 'cured');
  assert.deepEqual(sim.faults.get('bad'), []);
});
