/** The thread of the queries, as the main thread holds it: lost and replaced, and the culprit left out. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { FunctionInfo, ScaleTrigger } from '../../../common/function/spec.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { Queries, type QueriesOptions } from '../../../scaler/queries/queries.ts';
import { TriggerQueries } from '../../../scaler/queries/trigger-queries.ts';
import { waitFor } from '../../helpers/wait.ts';
import { functionWith } from '../support/queries-world.ts';

const EVIL = new URL('../support/evil-query-worker.ts', import.meta.url);

function queriesWith(t: TestContext, options: Partial<QueriesOptions> = {}) {
  const queries = new Queries({
    triggers: new TriggerQueries({ now: Date.now }),
    series: {},
    prometheusUrl: '',
    isLeader: () => true,
    targets: () => [],
    samples: () => [],
    now: Date.now,
    log: silentLog,
    ...options,
  });
  const timer = setInterval(() => queries.tick(), 20);
  t.after(() => {
    clearInterval(timer);
    return queries.stop();
  });
  return queries;
}

function triggerOf(query: string): ScaleTrigger {
  return { metricType: 'AverageValue', metricName: '', query, threshold: 1, activationThreshold: 0 };
}

function valueIn(queries: Queries, fn: FunctionInfo, text: string) {
  const result = queries.triggers.resultOf(fn, triggerOf(text), Date.now());
  return result.kind === 'value' ? result : undefined;
}

function faultIn(queries: Queries, fn: FunctionInfo, text: string): string | undefined {
  const result = queries.triggers.resultOf(fn, triggerOf(text), Date.now());
  return result.kind === 'fault' ? result.reason : undefined;
}

test('no thread is started where there is no query', async (t) => {
  const queries = queriesWith(t);
  queries.setFunctions({ withQueries: [], everyMs: Infinity });
  queries.tick();
  assert.equal(queries.isRunning, false);
});

test('triggers are evaluated in the thread, and questions answered', async (t) => {
  const queries = queriesWith(t);
  const fn = functionWith(['vector(3) + 4', 'sum(', 'increase(x[1h])']);
  queries.setFunctions({ withQueries: [fn], everyMs: 1_000 });
  const valueOf = (text: string) => valueIn(queries, fn, text);
  await waitFor(() => valueOf('vector(3) + 4')?.value === 7, { what: 'a value' });
  await waitFor(() => queries.triggers.faultOf(fn, triggerOf('sum(')), { what: 'a fault' });
  assert.match(queries.triggers.faultOf(fn, triggerOf('increase(x[1h])')) ?? '', /looks back 3600 s/);
  await waitFor(() => valueOf('vector(3) + 4')?.isWhole, { what: 'a round is over' });
  const { status, json } = await queries.ask('1 + 1', undefined, undefined);
  assert.deepEqual(
    [status, JSON.parse(json)],
    [200, { query: '1 + 1', type: 'scalar', number: 2, value: '2' }],
  );
  const refused = await queries.ask('sum(', undefined, undefined);
  assert.deepEqual([refused.status, JSON.parse(refused.json).position], [400, 5]);
});

test('forty heavy triggers and a heavy question hold up neither the main thread nor another function', async (t) => {
  const queries = queriesWith(t);
  const heavy = 'sum_over_time(max_over_time(vector(1)[12m:1s])[13m:1s])';
  const evil = functionWith(
    Array.from({ length: 40 }, (_, i) => `${heavy} + ${i}`),
    'evil',
  );
  const good = functionWith(['vector(1)'], 'good');
  queries.setFunctions({ withQueries: [evil, good], everyMs: 1_000 });
  const asked = queries.ask(`${heavy} + ${heavy} + ${heavy} + ${heavy} + ${heavy}`, undefined, undefined);
  const fault = await waitFor(() => faultIn(queries, evil, `${heavy} + 39`), { what: 'a fault' });
  await waitFor(() => valueIn(queries, good, 'vector(1)'), { what: 'a value' });
  assert.match(fault, /took more than 200 ms/);
  assert.match((await asked).json, /too-expensive/);
  assert.deepEqual(queries.stats.restarts, { silent: 0, died: 0 });
});

const LOSSES: [what: string, reason: 'silent' | 'died'][] = [
  ['hang', 'silent'],
  ['exit', 'died'],
  ['throw', 'died'],
  ['eat', 'died'],
];
for (const [what, reason] of LOSSES) {
  test(`a thread that is lost (${what}) is replaced; the function at work is left out, the others go on`, async (t) => {
    const clock = { ms: 0 };
    const queries = queriesWith(t, {
      // Time passes only while nothing is heard: the pause before the next start, and the patience with a silent one.
      host: { script: EVIL, clock: () => (clock.ms += 200), memoryMb: 32 },
    });
    const [evil, good] = [functionWith([what], 'evil'), functionWith(['1'], 'good')];
    queries.setFunctions({ withQueries: [evil, good], everyMs: 1_000 });
    const fault = await waitFor(() => faultIn(queries, evil, what), { what: 'a fault', timeoutMs: 60_000 });
    assert.match(fault, /took the evaluation down/);
    assert.equal(faultIn(queries, good, '1'), undefined);
    await waitFor(() => queries.isRunning, { what: 'another thread' });
    assert.equal(queries.stats.restarts[reason], 1);
  });
}

test('questions that wait when the thread is lost get an error, and so do too many at once', async (t) => {
  const queries = queriesWith(t, { host: { script: EVIL } });
  const waiting = Array.from({ length: 21 }, () => queries.ask('1', undefined, undefined));
  const refused = await (waiting.pop() as Promise<{ status: number; json: string }>);
  assert.match(refused.json, /too many questions/);
  queries.setFunctions({ withQueries: [functionWith(['exit'], 'evil')], everyMs: 1_000 });
  for (const { status, json } of await Promise.all(waiting)) {
    assert.equal(status, 400);
    assert.match(json, /started again/);
  }
});
