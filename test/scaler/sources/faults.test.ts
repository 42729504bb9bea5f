/** What a source says when it fails is a tenant's text: how much of it is kept, and how often it is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SourcePollers } from '../../../scaler/sources/pollers.ts';
import type { SourceAnswer, SourceReading, SourceRule } from '../../../scaler/sources/source-rules.ts';
import { waitFor } from '../../helpers/wait.ts';
import { Sim } from '../support/sim.ts';
import { functionWithSource } from '../support/sources-world.ts';

async function firstFault(read: () => Promise<readonly SourceReading[]>): Promise<string | undefined> {
  const { id: of, spec } = functionWithSource({ Url: 'http://a.shop.svc' }, [{ Query: 'x', Threshold: 1 }]);
  const source = spec.scale?.sources?.[0] as SourceRule['source'];
  const questions = [{ query: 'x', metricName: '', hasOwnTarget: false }];
  const answers: SourceAnswer[] = [];
  const pollers = new SourcePollers({
    open: () => ({ read, close: () => {} }),
    onAnswer: (answer) => void answers.push(answer),
    now: Date.now,
  });
  pollers.change([{ id: 1, of, source, questions, credentials: {} }], []);
  const { readings } = await waitFor(() => answers[0], { what: 'an answer' });
  pollers.change([], [1]);
  return readings[0]?.fault;
}

test('a fault has at most 300 characters, of one question or of the whole source', async () => {
  const fault = 'x'.repeat(100_000);
  const cut = 'x'.repeat(300);
  assert.equal(await firstFault(async () => [{ value: undefined, fault }]), cut);
  assert.equal(await firstFault(() => Promise.reject(new Error(fault))), cut);
});

test('a source that says something else on each poll has one fault, which is told once', async () => {
  const sim = new Sim();
  const told: (readonly string[])[] = [];
  sim.onFaults = (_name, faults) => void told.push(faults);
  const scale = {
    Sources: [{ Name: 'src', Url: 'http://exporter.default.svc' }],
    Triggers: [{ Source: 'src', Query: 'work', Threshold: 1 }],
  };
  sim.fn('fn', 1, { 'SlimFaas/Scale': JSON.stringify(scale) });
  sim.pod('fn', 'p');
  let polls = 0;
  await sim.pass(60, () => {
    sim.report('fn', 'p');
    sim.troubles.set('work', `status 503: request ${polls++}`);
  });
  assert.equal(told.length, 1);
  assert.match(told[0]?.join() ?? '', /source "src", query "work": status 503: request \d+;/);
  sim.troubles.delete('work');
  sim.queries.set('work', 1);
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.deepEqual(told.slice(1), [[]], 'it is mended');
});
