/** Every rule as a table: annotations, facts that differ from a sleeping function's, expected decision. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decide } from '../../../scaler/decide/decide.ts';
import type { Demand, Facts } from '../../../scaler/decide/types.ts';
import { brief, factsOf } from '../support/facts.ts';

interface Row {
  readonly when: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly facts: Partial<Facts>;
  readonly expected: string;
  /** A part of the reason that a person reads. */
  readonly says?: RegExp;
}

function table(topic: string, rows: readonly Row[]): void {
  describe(topic, () => {
    for (const { when, annotations, facts, expected, says } of rows)
      test(`${when}: ${expected}`, () => {
        const decision = decide(factsOf(facts, annotations));
        assert.equal(brief(decision), expected, decision.reason);
        if (says) assert.match(decision.reason, says);
      });
  });
}

const callers = (waiting: number): Partial<Facts> => ({
  demand: { by: 'callers', isCall: true, waiting },
  waiting,
});
const jobs = (count: number): Partial<Facts> => ({
  demand: { by: 'jobs', isCall: true, jobs: count },
  jobs: count,
});
const by = (demand: Demand): Partial<Facts> => ({ demand });
const idleFor = (seconds: number): Partial<Facts> => ({ idleSinceMs: 1_000_000 - seconds * 1_000 });
const DIRECT_2 = { replicas: 1, readyPods: 1, direct: 2 };
const LIMIT_40 = { 'SlimFaas/NumberParallelRequest': '40' };
const scale = (value: object) => ({ 'SlimFaas/Scale': JSON.stringify(value) });
const crashing = { kind: 'crash-loop', message: 'exited with 1' } as const;
const unschedulable = { kind: 'unschedulable', message: '0/3 nodes fit' } as const;

table('from zero', [
  { when: 'nobody', facts: {}, expected: 'hold asleep 0' },
  { when: 'a caller', facts: callers(1), expected: 'wake 1', says: /1 callers wait; ReplicasAtStart 1/ },
  {
    when: 'ReplicasAtStart',
    annotations: { 'SlimFaas/ReplicasAtStart': '3' },
    facts: callers(1),
    expected: 'wake 3',
  },
  {
    when: 'ReplicasMin above ReplicasAtStart',
    annotations: { 'SlimFaas/ReplicasMin': '4', 'SlimFaas/ReplicasAtStart': '2' },
    facts: callers(1),
    expected: 'wake 4',
  },
  { when: 'many callers, but it has not asked to grow', facts: callers(1_000), expected: 'wake 1' },
  {
    when: '25 callers, 10 a pod',
    annotations: LIMIT_40,
    facts: callers(25),
    expected: 'wake 3',
    says: /25 waiting \/ 10 a pod = 3/,
  },
  { when: 'more callers than the limit', annotations: LIMIT_40, facts: callers(1_000), expected: 'wake 4' },
  {
    when: 'a limit below a pod',
    annotations: { 'SlimFaas/NumberParallelRequest': '3' },
    facts: callers(1_000),
    expected: 'wake 1',
  },
  {
    when: 'ReplicasAtStart above what the limit can use',
    annotations: { 'SlimFaas/NumberParallelRequest': '2', 'SlimFaas/ReplicasAtStart': '5' },
    facts: callers(1),
    expected: 'wake 2',
  },
  { when: 'ReplicaMax', annotations: scale({ ReplicaMax: 7 }), facts: callers(1_000), expected: 'wake 7' },
  {
    when: 'ReplicaMax below ReplicasAtStart',
    annotations: { 'SlimFaas/ReplicasAtStart': '9', ...scale({ ReplicaMax: 2 }) },
    facts: callers(1),
    expected: 'wake 2',
  },
  { when: 'jobs', annotations: LIMIT_40, facts: jobs(15), expected: 'wake 2', says: /15 jobs wait/ },
  {
    when: 'jobs and callers add up',
    annotations: LIMIT_40,
    facts: { ...callers(10), jobs: 11 },
    expected: 'wake 3',
  },
  {
    when: 'jobs in strict order need one pod',
    annotations: { ...LIMIT_40, 'slimfaas.dev/ordered': 'true' },
    facts: jobs(40),
    expected: 'wake 1',
  },
  { when: 'an explicit wake', facts: by({ by: 'wake', isCall: true }), expected: 'wake 1' },
  { when: 'a schedule', facts: by({ by: 'schedule', isCall: true }), expected: 'wake 1', says: /schedule/ },
  {
    when: 'any other function',
    facts: by({ by: 'any-function', isCall: true, name: 'x' }),
    expected: 'wake 1',
  },
  {
    when: 'a dependent',
    facts: by({ by: 'dependent', isCall: false, isUrgent: false, name: 'a' }),
    expected: 'wake 1',
    says: /a depends on it/,
  },
  { when: 'ReplicasMin', annotations: { 'SlimFaas/ReplicasMin': '2' }, facts: {}, expected: 'raise 2' },
  {
    when: 'missing data do not keep it from waking',
    facts: { ...callers(1), blind: 'NATS' },
    expected: 'wake 1',
  },
  {
    when: 'trouble of its past does not either: there is no pod to judge by',
    facts: { ...callers(1), troubles: [unschedulable] },
    expected: 'wake 1',
  },
]);

table('while it wakes', [
  {
    when: 'more came',
    annotations: LIMIT_40,
    facts: { ...callers(35), replicas: 1, isColdStart: true },
    expected: 'wake 4',
    says: /still waking/,
  },
  {
    when: 'fewer wait',
    annotations: LIMIT_40,
    facts: { ...callers(3), replicas: 4, isColdStart: true },
    expected: 'hold active 4',
  },
  {
    when: 'a pod is ready, so load decides',
    annotations: LIMIT_40,
    facts: { ...callers(35), replicas: 1 },
    expected: 'hold active 1',
  },
  {
    when: 'it has not asked to grow',
    facts: { ...callers(35), replicas: 1, isColdStart: true },
    expected: 'hold active 1',
  },
  {
    when: 'no node fits the pods there are',
    annotations: LIMIT_40,
    facts: { ...callers(35), replicas: 1, isColdStart: true, troubles: [unschedulable] },
    expected: 'blocked 1',
    says: /unschedulable: 0\/3 nodes fit/,
  },
  {
    when: 'an autoscaler looks after it',
    annotations: LIMIT_40,
    facts: { ...callers(35), replicas: 1, isColdStart: true, autoscalerMin: 1 },
    expected: 'hold autoscaler 1',
  },
]);

table('dependencies', [
  {
    when: 'one is not ready',
    facts: { ...callers(1), unreadyDependencies: ['db'] },
    expected: 'await-dependencies 0',
    says: /first db must be ready/,
  },
  { when: 'all are ready', facts: callers(1), expected: 'wake 1' },
  {
    when: 'ReplicasMin waits for them too',
    annotations: { 'SlimFaas/ReplicasMin': '1' },
    facts: { unreadyDependencies: ['db'] },
    expected: 'await-dependencies 0',
  },
  {
    when: 'one breaks later: a running function is not stopped for it',
    facts: { replicas: 1, running: 1, unreadyDependencies: ['db'] },
    expected: 'hold active 1',
  },
  {
    when: 'idle, but a dependent is up',
    facts: { replicas: 1, ...idleFor(301), awakeDependents: ['a'] },
    expected: 'hold dependents 1',
    says: /a depend on it/,
  },
]);

table('idle', [
  {
    when: 'just short of the timeout',
    facts: { replicas: 3, ...idleFor(299.9) },
    expected: 'hold idle-clock 3',
    says: /299 of 300 s/,
  },
  { when: 'at the timeout', facts: { replicas: 3, ...idleFor(300) }, expected: 'sleep 0' },
  {
    when: 'to ReplicasMin',
    annotations: { 'SlimFaas/ReplicasMin': '2' },
    facts: { replicas: 3, ...idleFor(300) },
    expected: 'sleep 2',
  },
  {
    when: 'at ReplicasMin',
    annotations: { 'SlimFaas/ReplicasMin': '2' },
    facts: { replicas: 2, ...idleFor(999) },
    expected: 'hold at-minimum 2',
  },
  { when: 'one runs', facts: { replicas: 3, running: 1, ...idleFor(999) }, expected: 'hold active 3' },
  {
    when: 'two connections past the proxy',
    facts: { ...DIRECT_2, ...idleFor(999) },
    expected: 'hold active 1',
    says: /^2 direct connections$/,
  },
  { when: 'one waits', facts: { replicas: 3, waiting: 1, ...idleFor(999) }, expected: 'hold active 3' },
  {
    when: 'a job waits for its retry',
    facts: { replicas: 3, jobs: 1, ...idleFor(999) },
    expected: 'hold active 3',
  },
  {
    when: 'missing data',
    facts: { replicas: 3, blind: 'p has not reported', ...idleFor(999) },
    expected: 'hold missing-data 3',
    says: /p has not reported/,
  },
  {
    when: 'a schedule with another timeout',
    facts: { replicas: 1, idleTimeoutSeconds: 10, ...idleFor(11) },
    expected: 'sleep 0',
  },
  {
    when: 'a timeout of 0 still hears two reports',
    facts: { replicas: 1, idleTimeoutSeconds: 0, ...idleFor(1.9) },
    expected: 'hold idle-clock 1',
  },
  {
    when: 'a timeout of 0',
    facts: { replicas: 1, idleTimeoutSeconds: 0, ...idleFor(2) },
    expected: 'sleep 0',
  },
  {
    when: 'broken pods do not keep it up',
    facts: { replicas: 1, troubles: [unschedulable], ...idleFor(300) },
    expected: 'sleep 0',
  },
  {
    when: 'triggers do not keep it up',
    facts: { replicas: 1, load: { wanted: 3, reason: 'x' }, ...idleFor(300) },
    expected: 'sleep 0',
  },
]);

table('load', [
  {
    when: 'up',
    facts: { replicas: 1, running: 9, load: { wanted: 3, reason: 'concurrency 25' } },
    expected: 'scale-up 3',
    says: /concurrency 25/,
  },
  {
    when: 'down',
    facts: { replicas: 5, running: 9, load: { wanted: 3, reason: 'x' } },
    expected: 'scale-down 3',
  },
  {
    when: 'the same',
    facts: { replicas: 3, running: 9, load: { wanted: 3, reason: 'x' } },
    expected: 'hold active 3',
  },
  {
    when: 'never to zero',
    facts: { replicas: 2, running: 1, load: { wanted: 0, reason: 'x' } },
    expected: 'scale-down 1',
  },
  {
    when: 'never below ReplicasMin',
    annotations: { 'SlimFaas/ReplicasMin': '2' },
    facts: { replicas: 4, running: 1, load: { wanted: 0, reason: 'x' } },
    expected: 'scale-down 2',
  },
  {
    when: 'never above ReplicaMax',
    annotations: scale({ ReplicaMax: 4 }),
    facts: { replicas: 2, running: 1, load: { wanted: 99, reason: 'x' } },
    expected: 'scale-up 4',
  },
  {
    when: 'behaviour 36: no way down on missing data',
    facts: { replicas: 4, running: 1, blind: 'y', load: { wanted: 1, reason: 'x' } },
    expected: 'hold missing-data 4',
  },
  {
    when: 'behaviour 36: the way up needs none',
    facts: { replicas: 4, running: 1, blind: 'y', load: { wanted: 5, reason: 'x' } },
    expected: 'scale-up 5',
  },
  {
    when: 'blocked',
    facts: {
      replicas: 1,
      running: 9,
      troubles: [{ kind: 'quota', message: 'exceeded' }],
      load: { wanted: 3, reason: 'x' },
    },
    expected: 'blocked 1',
    says: /wants 3, but quota: exceeded/,
  },
  {
    when: 'no pod is ready and one crashes: more would crash too',
    facts: { replicas: 2, readyPods: 0, running: 9, troubles: [crashing], load: { wanted: 3, reason: 'x' } },
    expected: 'blocked 2',
    says: /wants 3, but crash-loop/,
  },
  {
    when: 'one pod of many crashes: callers are not made to wait for it',
    facts: { replicas: 2, readyPods: 1, running: 9, troubles: [crashing], load: { wanted: 3, reason: 'x' } },
    expected: 'scale-up 3',
  },
  {
    when: 'no room for one pod is no room for the next, however many are ready',
    facts: {
      replicas: 2,
      readyPods: 1,
      running: 9,
      troubles: [crashing, unschedulable],
      load: { wanted: 3, reason: 'x' },
    },
    expected: 'blocked 2',
    says: /unschedulable/,
  },
  {
    when: 'idle: a window that remembers the last burst does not raise it again',
    annotations: { 'SlimFaas/ReplicasMin': '1' },
    facts: { replicas: 1, ...idleFor(300), load: { wanted: 3, reason: 'x' } },
    expected: 'hold at-minimum 1',
  },
  {
    when: 'blocked ways up leave the way down open',
    facts: { replicas: 3, running: 1, troubles: [unschedulable], load: { wanted: 1, reason: 'x' } },
    expected: 'scale-down 1',
  },
]);

table('the bounds of a function that is up', [
  {
    when: 'below ReplicasMin',
    annotations: { 'SlimFaas/ReplicasMin': '3' },
    facts: { replicas: 1, running: 1 },
    expected: 'raise 3',
  },
  {
    when: 'above ReplicaMax',
    annotations: scale({ ReplicaMax: 3 }),
    facts: { replicas: 5, running: 1 },
    expected: 'cap 3',
  },
]);

table('living with others', [
  {
    when: 'paused at zero, with a caller',
    annotations: { 'slimfaas.dev/paused': 'true' },
    facts: callers(1),
    expected: 'hold paused 0',
  },
  {
    when: 'paused and idle',
    annotations: { 'slimfaas.dev/paused': 'true' },
    facts: { replicas: 2, ...idleFor(999) },
    expected: 'hold paused 2',
  },
  {
    when: 'an autoscaler, from zero to its minimum',
    annotations: LIMIT_40,
    facts: { ...callers(39), autoscalerMin: 2 },
    expected: 'wake 2',
  },
  {
    when: 'an autoscaler above zero',
    facts: { replicas: 5, running: 1, autoscalerMin: 2, load: { wanted: 1, reason: 'x' } },
    expected: 'hold autoscaler 5',
  },
  {
    when: 'an autoscaler and idle: to zero',
    facts: { replicas: 5, autoscalerMin: 2, ...idleFor(300) },
    expected: 'sleep 0',
  },
  {
    when: 'an autoscaler and a minimum: its own affair',
    annotations: { 'SlimFaas/ReplicasMin': '1' },
    facts: { replicas: 5, autoscalerMin: 2, ...idleFor(999) },
    expected: 'hold autoscaler 5',
  },
  {
    when: 'somebody set 0, nobody calls',
    annotations: { 'SlimFaas/ReplicasMin': '1' },
    facts: { setByOthers: 0 },
    expected: 'hold set-by-others 0',
  },
  {
    when: 'somebody set 0, a dependent only expects it',
    facts: { setByOthers: 0, ...by({ by: 'dependent', isCall: false, isUrgent: false, name: 'a' }) },
    expected: 'hold set-by-others 0',
  },
  { when: 'somebody set 0, a caller', facts: { setByOthers: 0, ...callers(1) }, expected: 'wake 1' },
  {
    when: 'somebody set 1 below ReplicasMin',
    annotations: { 'SlimFaas/ReplicasMin': '3' },
    facts: { replicas: 1, setByOthers: 1, running: 1 },
    expected: 'hold active 1',
  },
  {
    when: 'somebody set 9, load wants 2',
    facts: { replicas: 9, setByOthers: 9, running: 1, load: { wanted: 2, reason: 'x' } },
    expected: 'hold set-by-others 9',
  },
  {
    when: 'somebody set 2, load wants 9',
    facts: { replicas: 2, setByOthers: 2, running: 1, load: { wanted: 9, reason: 'x' } },
    expected: 'scale-up 9',
  },
]);
