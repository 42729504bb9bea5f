/** Sources as the main thread sees them: rules for the thread, answers for triggers, credentials by name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TriggerSources } from '../../../scaler/sources/trigger-sources.ts';
import type { FunctionInfo, ScaleTrigger } from '../../../common/function/spec.ts';
import { waitFor } from '../../helpers/wait.ts';
import { functionWithSource } from '../support/sources-world.ts';

const noSecret = () => Promise.reject(new Error('unasked'));
const PAGE = { Url: 'http://jobs.shop.svc/' };

function triggerOf(fn: FunctionInfo, i = 0): ScaleTrigger {
  const trigger = fn.spec.scale?.triggers[i];
  if (!trigger) throw new Error(`no trigger ${i}`);
  return trigger;
}

test('a rule is told once, ends with its function, and its answers with their time', () => {
  let nowMs = 1_000;
  const sources = new TriggerSources({ now: () => nowMs, readSecret: noSecret });
  const fn = functionWithSource(PAGE, [{ Query: 'jobs{fn="${app}"}', Threshold: 1 }]);
  const { set } = sources.update([fn]);
  const id = set[0]?.id ?? 0;
  assert.deepEqual(set[0]?.questions, [{ query: 'jobs{fn="fn"}', metricName: '', hasOwnTarget: false }]);
  assert.deepEqual(sources.update([fn]), { set: [], gone: [] });
  assert.deepEqual(sources.resultOf(fn, triggerOf(fn), nowMs), { kind: 'no-data' });
  const answer = { id, atMs: nowMs, readings: [{ value: 3, isWhole: false }] };
  assert.deepEqual(sources.take([answer]), ['shop/fn']);
  assert.deepEqual(sources.take([answer]), [], 'nothing new');
  assert.deepEqual(sources.resultOf(fn, triggerOf(fn), nowMs), { kind: 'value', value: 3, isWhole: false });
  assert.deepEqual([...sources.health()], [{ namespace: 'shop', function: 'fn', source: 'src', isUp: true }]);
  nowMs += 60_000;
  assert.deepEqual(sources.resultOf(fn, triggerOf(fn), nowMs), { kind: 'no-data' }, 'too old');
  sources.take([{ id, atMs: nowMs, readings: [{ value: undefined, fault: 'status 503' }] }]);
  assert.deepEqual(sources.resultOf(fn, triggerOf(fn), nowMs), { kind: 'fault', reason: 'status 503' });
  assert.deepEqual(Object.fromEntries(sources.polls), { 'metrics answered': 2, 'metrics failed': 1 });
  assert.deepEqual(sources.update([]), { set: [], gone: [id] });
  assert.deepEqual(sources.take([answer]), [], 'nobody asks any more');
});

test('a changed function is a new rule; the last answer stands until the next one', () => {
  const sources = new TriggerSources({ now: () => 0, readSecret: noSecret });
  const [before] = sources.update([functionWithSource(PAGE, [{ Query: 'jobs', Threshold: 1 }])]).set;
  sources.take([{ id: before?.id ?? 0, atMs: 0, readings: [{ value: 3 }] }]);
  const fn = functionWithSource(PAGE, [{ Query: 'jobs', Threshold: 2 }]);
  const { set, gone } = sources.update([fn]);
  assert.deepEqual([set.length, gone], [1, [before?.id]]);
  assert.equal(sources.resultOf(fn, triggerOf(fn), 0).kind, 'value');
});

test('a Secret: waited for, read by name, read again later; without it nothing is asked', async () => {
  let nowMs = 0;
  const asked: string[] = [];
  let answer: () => Promise<Record<string, string>> = () =>
    Promise.reject(Object.assign(new Error(), { code: 403 }));
  const readSecret = (namespace: string, name: string) => {
    asked.push(`${namespace}/${name}`);
    return answer();
  };
  const sources = new TriggerSources({ now: () => nowMs, readSecret });
  const fn = functionWithSource({ ...PAGE, Secret: 'login' }, [{ Query: 'jobs', Threshold: 1 }]);
  const faultOf = () => {
    const result = sources.resultOf(fn, triggerOf(fn), nowMs);
    return result.kind === 'fault' ? result.reason : result.kind;
  };
  assert.deepEqual(sources.update([fn]), { set: [], gone: [] });
  const update = () => sources.update([fn]);
  await waitFor(() => update().set.length === 0 && /may not read Secret login/.test(faultOf()), {
    what: 'refused',
  });
  const read = async (values: Record<string, string>) => {
    answer = () => Promise.resolve(values);
    nowMs += 300_000;
    return waitFor(() => sources.update([fn]).set[0], { what: 'another rule' });
  };
  const first = await read({ token: 'a\n', other: 'x' });
  assert.deepEqual(first.credentials, { token: 'a' });
  assert.equal(faultOf(), 'no-data');
  const second = await read({ username: 'u', password: 'p', 'ca.crt': 'PEM\n' });
  assert.deepEqual(second.credentials, { username: 'u', password: 'p', ca: 'PEM\n' });
  // The API server is away: what was read is used on.
  answer = () => Promise.reject(new Error('away'));
  nowMs += 300_000;
  sources.update([fn]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(sources.update([fn]), { set: [], gone: [] });
  // The right is taken away: it is used no more.
  answer = () => Promise.reject(Object.assign(new Error(), { code: 403 }));
  nowMs += 300_000;
  await waitFor(() => sources.update([fn]).gone.length === 1, { what: 'it ends' });
  assert.ok(asked.every((name) => name === 'shop/login'));
});

test('a Secret without anything to log in with is a fault', async () => {
  const sources = new TriggerSources({ now: () => 0, readSecret: async () => ({ other: 'x' }) });
  const fn = functionWithSource({ ...PAGE, Secret: 'login' }, [{ Query: 'jobs', Threshold: 1 }]);
  const fault = () => {
    sources.update([fn]);
    const result = sources.resultOf(fn, triggerOf(fn), 0);
    return result.kind === 'fault' && result.reason;
  };
  const reason = await waitFor(fault, { what: 'a fault' });
  assert.equal(reason, 'Secret login has none of token, username, password, ca.crt, tls.crt, tls.key');
});

test('the source whose query took the thread down is left out for ten minutes', () => {
  let nowMs = 0;
  const sources = new TriggerSources({ now: () => nowMs, readSecret: noSecret });
  const fn = functionWithSource(PAGE, [{ Query: 'jobs', Threshold: 1 }]);
  const id = sources.update([fn]).set[0]?.id ?? 0;
  sources.block(id);
  assert.deepEqual([sources.update([fn]), sources.rulesInUse()], [{ set: [], gone: [] }, []]);
  const result = sources.resultOf(fn, triggerOf(fn), nowMs);
  assert.match(result.kind === 'fault' ? result.reason : '', /took the evaluation down/);
  nowMs += 600_000;
  assert.equal(sources.update([fn]).set.length, 1);
});
