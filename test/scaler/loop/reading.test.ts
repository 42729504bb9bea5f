/** What people and scrapes read of the scaler costs no look at a function, and changes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listFunctions, samplesOf, showFunction } from '../../../scaler/status/views.ts';
import { settle, Sim } from '../support/sim.ts';

const ID = { namespace: 'default', name: 'fn' };
const QUERY = 'sum(work)';
const SCALE = JSON.stringify({
  Triggers: [{ MetricType: 'AverageValue', MetricName: 'work', Query: QUERY, Threshold: 1 }],
});

const read = (sim: Sim) => ({
  shown: showFunction(sim.reconciler, ID),
  listed: listFunctions(sim.reconciler),
  samples: [...samplesOf(sim.reconciler, () => undefined, sim.nowMs)],
});

test('reading decides nothing and does nothing, even where a decision is due', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '60' });
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(5);
  sim.nowMs += 120_000;
  sim.report('fn', 'p');
  const { shown, listed, samples } = read(sim);
  await settle();
  assert.deepEqual(sim.patches, []);
  assert.deepEqual([shown?.['wanted'], listed[0]?.['wanted'], samples[0]?.desired], [1, 1, 1]);
  const facts = shown?.['facts'] as { readonly idleForSeconds: number } | undefined;
  assert.ok(facts && facts.idleForSeconds >= 60, JSON.stringify(facts));
  await sim.pass(1);
  assert.equal(sim.patches.length, 1, 'the next tick acts');
});

test('before the watches are in step a function is shown without facts', () => {
  const sim = new Sim({ isSynced: false });
  sim.fn('fn', 0);
  const { shown, listed } = read(sim);
  assert.deepEqual([shown?.['replicas'], shown?.['reason']], [0, 'not decided yet']);
  assert.equal(listed.length, 1);
});

test('what is wrong is worked out once a tick, and never for whoever reads', async () => {
  const sim = new Sim();
  sim.queryFaults.set(QUERY, 'it cannot be read');
  sim.fn('fn', 1, { 'SlimFaas/Scale': SCALE, 'SlimFaas/ReplicasMin': '1' });
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(3);
  const before = sim.looksAtFaults;
  const { shown, listed, samples } = read(sim);
  assert.equal(sim.looksAtFaults, before);
  assert.match(String(shown?.['faults']), /it cannot be read/);
  assert.deepEqual([listed[0]?.['faults'], samples[0]?.faults], [1, 1]);
  await sim.pass(1);
  assert.equal(sim.looksAtFaults, before + 1);
});

test('a query of a sleeping function that turns out to be wrong is told, and so is its cure', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/Scale': SCALE });
  await sim.pass(3);
  assert.deepEqual(sim.faults.get('fn') ?? [], []);
  sim.queryFaults.set(QUERY, 'it cannot be read');
  await sim.pass(1);
  assert.match(sim.faults.get('fn')?.join() ?? '', /it cannot be read/);
  sim.queryFaults.clear();
  await sim.pass(1);
  assert.deepEqual(sim.faults.get('fn'), []);
});
