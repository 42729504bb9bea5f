/** What the main thread knows of triggers' queries: which there are, and what was last said of each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScaleTrigger } from '../../../common/function/spec.ts';
import { PromqlError } from '../../../scaler/promql/error.ts';
import type { RemotePrometheus } from '../../../scaler/promql/remote.ts';
import { RemoteRules } from '../../../scaler/queries/query-remote-rules.ts';
import { TriggerQueries } from '../../../scaler/queries/trigger-queries.ts';
import { waitFor } from '../../helpers/wait.ts';
import { functionWith, ruleOf } from '../support/queries-world.ts';

const trigger = (query: string): ScaleTrigger => ({
  metricType: 'AverageValue',
  metricName: '',
  query,
  threshold: 1,
  activationThreshold: 0,
});

const NO_DATA = { kind: 'no-data' };

const answer = (value: number | undefined, atMs: number, fault?: string) => ({
  value,
  isWhole: true,
  fault,
  atMs,
});

test('only what is new since the last call is handed on; what is gone is forgotten', () => {
  const queries = new TriggerQueries({ now: () => 0 });
  const [a, b] = [functionWith(['x', '', 'x'], 'a'), functionWith(['y'], 'b')];
  const first = queries.setFunctions([a, b]);
  assert.deepEqual(
    first.set.map(({ key, queries: texts, scope }) => [key, texts, scope.function]),
    [
      ['shop/a', ['x'], 'a'],
      ['shop/b', ['y'], 'b'],
    ],
  );
  assert.deepEqual(queries.setFunctions([a, b]), { set: [], gone: [] });
  const changed = queries.setFunctions([functionWith(['z'], 'a')]);
  assert.deepEqual([changed.set.map(({ queries: texts }) => texts), changed.gone], [[['z']], ['shop/b']]);
});

test('an answer is used for three intervals; a fault has no value', () => {
  const queries = new TriggerQueries({ now: () => 0 });
  const fn = functionWith(['x', 'y']);
  queries.setFunctions([fn]);
  assert.deepEqual(queries.resultOf(fn, trigger('x'), 0), NO_DATA);
  queries.take([{ key: 'shop/fn', id: 1, answers: [answer(7, 1_000), answer(undefined, 1_000, 'broken')] }]);
  assert.deepEqual(queries.resultOf(fn, trigger('x'), 4_000), { kind: 'value', value: 7, isWhole: true });
  assert.deepEqual(queries.resultOf(fn, trigger('x'), 4_001), NO_DATA);
  assert.deepEqual(queries.resultOf(fn, trigger('y'), 1_000), { kind: 'fault', reason: 'broken' });
  assert.equal(queries.faultOf(fn, trigger('y')), undefined, 'nothing is wrong with its text');
  const miswritten = { ...answer(undefined, 2_000, 'no PromQL'), isMiswritten: true };
  queries.take([{ key: 'shop/fn', id: 1, answers: [answer(7, 2_000), miswritten] }]);
  assert.deepEqual(
    [queries.faultOf(fn, trigger('x')), queries.faultOf(fn, trigger('y'))],
    [undefined, 'no PromQL'],
  );
});

test('answers to a rule that has changed meanwhile, or is gone, are dropped', () => {
  const queries = new TriggerQueries({ now: () => 0 });
  const fn = functionWith(['x', 'y']);
  queries.setFunctions([fn]);
  queries.take([
    { key: 'shop/fn', id: 7, answers: [answer(7, 0), answer(7, 0)] },
    { key: 'shop/other', id: 1, answers: [answer(7, 0)] },
  ]);
  assert.deepEqual(queries.resultOf(fn, trigger('x'), 0), NO_DATA);
});

test('the function whose query took the thread down is left out for ten minutes, with a fault', () => {
  let nowMs = 0;
  const queries = new TriggerQueries({ now: () => nowMs });
  const [a, b] = [functionWith(['x'], 'a'), functionWith(['x'], 'b')];
  const { set } = queries.setFunctions([a, b]);
  for (const { key, id } of set) queries.take([{ key, id, answers: [answer(1, 0)] }]);
  queries.block(set[0]?.id ?? -9);
  assert.deepEqual(
    queries.rulesInUse().map(({ key }) => key),
    ['shop/b'],
  );
  const blocked = queries.resultOf(a, trigger('x'), 0);
  assert.match(blocked.kind === 'fault' ? blocked.reason : '', /took the evaluation down/);
  assert.equal(queries.resultOf(b, trigger('x'), 0).kind, 'value');
  assert.deepEqual(queries.unblocked(), []);
  nowMs = 600_000;
  assert.deepEqual(
    queries.unblocked().map(({ key }) => key),
    ['shop/a'],
  );
  assert.deepEqual(queries.unblocked(), []);
  assert.notEqual(queries.resultOf(a, trigger('x'), 0).kind, 'fault');
});

test('with Prometheus: a query of many functions is asked once at a time, and an answer reaches them all', async () => {
  const answers: ((value: number) => void)[] = [];
  const remote: RemotePrometheus = {
    query: () => new Promise((resolve) => answers.push((value) => resolve({ type: 'scalar', value }))),
  };
  let nowMs = 0;
  const rules = new RemoteRules({ remote, now: () => nowMs });
  rules.change([ruleOf('a', 'q'), ruleOf('b', 'q')], []);
  assert.deepEqual(rules.evaluate(nowMs), []);
  nowMs = 2_000;
  assert.deepEqual(rules.evaluate(nowMs), []);
  assert.equal(answers.length, 1, 'the first question is still open');
  answers[0]?.(7);
  const arrived = await waitFor(
    () => {
      const all = rules.evaluate(nowMs);
      return all.length > 0 ? all : undefined;
    },
    { what: 'an answer' },
  );
  const expected = { value: 7, isWhole: true, fault: undefined, atMs: 2_000 };
  assert.deepEqual(arrived, [
    { key: 'shop/a', id: ruleOf('a', 'q').id, answers: [expected] },
    { key: 'shop/b', id: ruleOf('b', 'q').id, answers: [expected] },
  ]);
});

test('with Prometheus: an error leaves the last answer as it was, and is a fault', async () => {
  let isAway = false;
  const remote: RemotePrometheus = {
    query: async () => {
      if (isAway) throw new PromqlError('remote', 'no answer');
      return { type: 'scalar', value: 3 };
    },
  };
  let nowMs = 0;
  const rules = new RemoteRules({ remote, now: () => nowMs });
  rules.change([ruleOf('a', 'q')], []);
  const next = (what: string) => waitFor(() => rules.evaluate(nowMs)[0]?.answers[0], { what });
  assert.deepEqual(await next('an answer'), { value: 3, isWhole: true, fault: undefined, atMs: 0 });
  isAway = true;
  nowMs = 1_000;
  assert.deepEqual(await next('a fault'), { value: 3, isWhole: true, fault: 'no answer', atMs: 0 });
});

test('a query names its own function; what it was written as finds the answer', () => {
  const queries = new TriggerQueries({ now: () => 0 });
  const text = 'sum(x{namespace="${namespace}",job="${app}",fn=~"${function}-.*"})';
  const fn = functionWith([text]);
  const { set } = queries.setFunctions([fn]);
  assert.deepEqual(set[0]?.queries, ['sum(x{namespace="shop",job="fn",fn=~"fn-.*"})']);
  assert.deepEqual(queries.take([{ key: 'shop/fn', id: 1, answers: [answer(7, 0)] }]), ['shop/fn']);
  assert.equal(queries.resultOf(fn, trigger(text), 0).kind, 'value');
  assert.deepEqual(queries.take([{ key: 'shop/fn', id: 1, answers: [answer(7, 1)] }]), [], 'nothing new');
});

test('what only the pods of the function can answer is told from what others can', () => {
  const queries = new TriggerQueries({ now: () => 0 });
  const asks = (text: string) => queries.asksOwnPods(trigger(text));
  assert.deepEqual([asks('sum(x)'), asks('x{function=""}'), asks('x{function!~"a"}')], [true, false, false]);
  const remote = new TriggerQueries({ now: () => 0, isRemote: true });
  assert.equal(remote.asksOwnPods(trigger('sum(x)')), false);
});
