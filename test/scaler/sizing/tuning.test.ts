/** What an operator may change of the autoscaler's own numbers, and that each of them is heard. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import { CALM, panicStep } from '../../../scaler/sizing/panic-window.ts';
import { recommend } from '../../../scaler/sizing/triggers.ts';
import { DEFAULT_TUNING, type Tuning } from '../../../scaler/sizing/tuning.ts';
import { leaseTimesOf, scalerFlags } from '../../../scaler/flags.ts';
import { tuningOf } from '../../../scaler/load/load-flags.ts';
import { SERIES_LIMITS } from '../../../scaler/promql/limits.ts';
import { queryBudgetsOf, seriesOptionsOf } from '../../../scaler/queries/query-flags.ts';
import { urlOf } from '../../../scaler/world/lease.ts';
import { Sim } from '../support/sim.ts';

const read = (...args: string[]) => readFlags(scalerFlags, args, {});

test('the flags’ defaults are the rules’ defaults', () => {
  assert.deepEqual(tuningOf(read()), DEFAULT_TUNING);
  assert.deepEqual(seriesOptionsOf(read()), SERIES_LIMITS);
});

test('each flag sets its own number', () => {
  const changed = tuningOf(
    read(
      '--stable-window=90',
      '--panic-window=9',
      '--panic-threshold=3',
      '--target-utilization=0.5',
      '--tolerance=0.2',
      '--keep-answer=60',
    ),
  );
  assert.deepEqual(changed, {
    stableWindowMs: 90_000,
    panicWindowMs: 9_000,
    panicThreshold: 3,
    targetUtilization: 0.5,
    tolerance: 0.2,
    keepAnswerMs: 60_000,
  });
  assert.deepEqual(
    seriesOptionsOf(
      read(
        '--query-retention=60',
        '--query-max-series=5',
        '--query-max-samples=6',
        '--query-max-series-per-function=7',
      ),
    ),
    { retentionMs: 60_000, maxSeries: 5, maxSamples: 6, maxSeriesOfKeeper: 7 },
  );
  assert.deepEqual(queryBudgetsOf(read('--query-function-budget=8', '--query-round-budget=9')), {
    functionMs: 8,
    roundMs: 9,
  });
});

test('a short window longer than the long one is refused, with both named', () => {
  assert.throws(
    () => tuningOf(read('--panic-window=61')),
    (error) =>
      error instanceof UsageError && /--panic-window.*--stable-window \(60\), not 61/.test(error.message),
  );
});

test('lease times that would allow two leaders are refused, with all three named', () => {
  for (const bad of [['--renew-deadline=12'], ['--retry-period=8']])
    assert.throws(
      () => leaseTimesOf(read(...bad)),
      (error) =>
        error instanceof UsageError &&
        /--retry-period < --renew-deadline < --lease-duration/.test(error.message),
    );
});

test('a leader’s address is read from the lease, IPv6 in brackets', () => {
  assert.equal(urlOf('pod@10.0.0.1:5001'), 'http://10.0.0.1:5001');
  assert.equal(urlOf('pod@fd00::12:5001'), 'http://[fd00::12]:5001');
  assert.equal(urlOf('somebody'), undefined);
  assert.equal(urlOf(undefined), undefined);
});

for (const [flag, value] of [
  ['stable-window', '5'],
  ['panic-window', '0'],
  ['panic-threshold', '1'],
  ['target-utilization', '1.5'],
  ['tolerance', '-1'],
] as const)
  test(`--${flag}=${value} is refused`, () => {
    assert.throws(() => read(`--${flag}=${value}`), UsageError);
  });

/** One pod with `load` calls running, for as long as the panic window. */
async function after6s(load: number, tuning: Tuning): Promise<number> {
  const sim = new Sim({ tuning });
  sim.fn('fn', 1, { 'SlimFaas/NumberParallelRequest': '100' });
  sim.pod('fn', 'p');
  await sim.pass(6, () => sim.report('fn', 'p', { running: load, runningNow: load, started: load }));
  return sim.replicas('fn');
}

test('a lower target utilisation starts more pods for the same load', async () => {
  assert.equal(await after6s(10, DEFAULT_TUNING), 2, '10 / 7');
  assert.equal(await after6s(10, { ...DEFAULT_TUNING, targetUtilization: 0.4 }), 3, '10 / 4');
});

test('a longer short window sees less of a burst', async () => {
  const burst = async (tuning: Tuning): Promise<number> => {
    const sim = new Sim({ tuning });
    sim.fn('fn', 1, { 'SlimFaas/NumberParallelRequest': '100' });
    sim.pod('fn', 'p');
    const at = (load: number) => () =>
      sim.report('fn', 'p', { running: load, runningNow: load, started: load });
    await sim.pass(54, at(1));
    await sim.pass(6, at(30));
    return sim.replicas('fn');
  };
  assert.equal(await burst(DEFAULT_TUNING), 5, '30 / 7');
  // Over 60 s it is an average of 3.9: one pod.
  assert.equal(await burst({ ...DEFAULT_TUNING, panicWindowMs: 60_000 }), 1);
});

test('a higher threshold panics later, a longer window panics longer', () => {
  const burst = { stableReplicas: 1, panicReplicas: 5, readyReplicas: 2 };
  const calm = { stableReplicas: 1, panicReplicas: 1, readyReplicas: 5 };
  assert.equal(panicStep(CALM, burst, 0, { ...DEFAULT_TUNING, panicThreshold: 3 }).state.isPanicking, false);
  const { state } = panicStep(CALM, burst, 0);
  assert.equal(panicStep(state, calm, 61_000).state.isPanicking, false);
  const longer = { ...DEFAULT_TUNING, stableWindowMs: 120_000 };
  assert.equal(panicStep(state, calm, 61_000, longer).state.isPanicking, true);
});

test('the tolerance bounds how far a Value trigger may be off', () => {
  const trigger = {
    metricType: 'Value',
    metricName: 'x',
    query: '',
    threshold: 10,
    activationThreshold: 0,
  } as const;
  assert.equal(recommend([{ trigger, value: 11.5 }], 4).replicas, 5);
  assert.equal(recommend([{ trigger, value: 11.5 }], 4, 0.2).replicas, 4);
});
