/** Rules over time, with a clock of the test's own: idleness, wakes, restarts, others, dependencies, schedules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sim } from '../support/sim.ts';

const IDLE_10 = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '10' };

test('woken at once by a caller, asleep when the timeout has passed since the last use', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, IDLE_10);
  await sim.wake('fn');
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
  sim.pod('fn', 'p');
  await sim.pass(5, () => sim.report('fn', 'p', { runningNow: 1, running: 1 }));
  sim.report('fn', 'p', { finished: 1 });
  await sim.pass(9, () => sim.report('fn', 'p'));
  assert.equal(sim.decision('fn'), 'idle-clock');
  await sim.pass(1, () => sim.report('fn', 'p'));
  assert.deepEqual(sim.patches, ['fn 0→1 wake', 'fn 1→0 sleep']);
});

test('direct connections are use, and no load: open ones, and those that were opened', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { ...IDLE_10, 'SlimFaas/NumberParallelRequest': '100' });
  await sim.wake('fn');
  sim.pod('fn', 'p');
  await sim.pass(60, () => sim.report('fn', 'p', { direct: 50, directOpened: 0 }));
  assert.equal(sim.decision('fn'), 'active');
  await sim.pass(12, () => sim.report('fn', 'p', { direct: 0, directOpened: 1 }));
  await sim.pass(9, () => sim.report('fn', 'p'));
  assert.equal(sim.decision('fn'), 'idle-clock');
  assert.equal(sim.replicas('fn'), 1);
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 0);
});

test('a direct call ends a decision that stood, and an open one that has gone does too', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, IDLE_10);
  await sim.wake('fn');
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(8);
  sim.report('fn', 'p', { direct: 0, directOpened: 2 });
  await sim.pass(9);
  assert.equal(sim.replicas('fn'), 1);
  sim.report('fn', 'p', { direct: 1, directOpened: 0 });
  await sim.pass(20);
  assert.equal(sim.replicas('fn'), 1);
  sim.report('fn', 'p');
  await sim.pass(11);
  assert.equal(sim.replicas('fn'), 0);
});

test('a function just created gets its full timeout, whatever its age says', async () => {
  const sim = new Sim();
  await sim.pass(60); // long after the scaler's own start, which counts too
  sim.fn('fn', 1, IDLE_10);
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(9);
  assert.equal(sim.replicas('fn'), 1);
  await sim.pass(2);
  assert.equal(sim.replicas('fn'), 0);
});

test('behaviour 20: a restarted scaler starts the clock again, and waits for every pod to report', async () => {
  const sim = new Sim();
  sim.fn('fn', 2, IDLE_10);
  sim.pod('fn', 'a');
  sim.pod('fn', 'b');
  await sim.pass(60, () => sim.report('fn', 'a'));
  assert.equal(sim.replicas('fn'), 2);
  assert.equal(sim.decision('fn'), 'missing-data');
  sim.report('fn', 'b');
  await sim.pass(1);
  assert.equal(sim.replicas('fn'), 0);
});

test('behaviour 36: a pod that falls silent holds the function up until it reports or goes', async () => {
  const sim = new Sim();
  sim.fn('fn', 2, { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '60' });
  for (const pod of ['a', 'b']) {
    sim.pod('fn', pod);
    sim.report('fn', pod);
  }
  await sim.pass(90, () => sim.report('fn', 'a'));
  assert.equal(sim.decision('fn'), 'missing-data');
  sim.podGone('b');
  await sim.pass(1);
  assert.equal(sim.replicas('fn'), 0);
});

test('NATS away: nothing goes to sleep; back again: the clock starts again', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, IDLE_10);
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  sim.reconciler.onNats(false);
  await sim.pass(600);
  assert.equal(sim.replicas('fn'), 1);
  sim.reconciler.onNats(true);
  await sim.pass(9, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 1);
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 0);
});

test('a watch that broke sends nothing to sleep and keeps nobody from waking', async () => {
  const sim = new Sim();
  sim.fn('up', 1, IDLE_10);
  sim.pod('up', 'p');
  sim.fn('fn', 0, IDLE_10);
  sim.reconciler.onSynced(false);
  await sim.pass(60, () => sim.report('up', 'p'));
  assert.equal(sim.decision('up'), 'missing-data');
  await sim.wake('fn');
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('before the first list from the API server nothing is decided', async () => {
  const sim = new Sim({ isSynced: false });
  sim.fn('fn', 1, IDLE_10);
  await sim.wake('fn');
  await sim.pass(20);
  assert.equal(sim.decision('fn'), 'none');
  assert.deepEqual(sim.patches, []);
});

test('behaviour 17: an open connection that reports itself running keeps the function up for ever', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, IDLE_10);
  sim.pod('fn', 'p');
  await sim.pass(3_600, () => sim.report('fn', 'p', { runningNow: 1, running: 1 }));
  assert.deepEqual(sim.patches, []);
});

test('traffic at one call a minute keeps a function with a longer timeout up', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '70' });
  sim.pod('fn', 'p');
  for (let minute = 0; minute < 30; minute++) {
    sim.report('fn', 'p', { started: 1, finished: 1 });
    await sim.pass(60, () => sim.report('fn', 'p'));
  }
  assert.deepEqual(sim.patches, []);
});

test('a call that waits keeps waking when a patch fails, once a tick', async () => {
  const sim = new Sim();
  sim.fn('fn');
  let tries = 0;
  sim.onScale = () => Promise.reject(new Error(`away ${tries++}`));
  await sim.wake('fn');
  await sim.pass(3);
  assert.equal(tries, 4);
  sim.onScale = undefined;
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('an explicit wake is remembered until it could be acted upon', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0' });
  sim.onScale = () => Promise.reject(new Error('away'));
  await sim.wake('fn', 0);
  await sim.pass(5);
  sim.onScale = undefined;
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('the idle clock stands still while the first pod is coming up', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, IDLE_10);
  await sim.wake('fn');
  sim.pod('fn', 'p', { isReady: false });
  await sim.pass(120);
  assert.equal(sim.replicas('fn'), 1, 'nobody waits any more, but it has had no chance yet');
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(9, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 1);
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 0);
});

test('behaviour 10: callers who come while the first patch is under way size the wake too', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/NumberParallelRequest': '100' });
  await sim.wake('fn', 1);
  await sim.wake('fn', 64);
  await sim.wake('fn', 1_000);
  assert.deepEqual(sim.patches, ['fn 0→1 wake', 'fn 1→7 wake', 'fn 7→10 wake']);
});

test('behaviour 18: A depends on B depends on a database: up in that order, all stay while A is used, all sleep after', async () => {
  const sim = new Sim();
  sim.fn('a', 0, { 'SlimFaas/DependsOn': 'b', 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '30' });
  sim.fn('b', 0, { 'SlimFaas/DependsOn': 'db', ...IDLE_10 });
  sim.fn('db', 0, IDLE_10);
  await sim.wake('a');
  assert.deepEqual(sim.patches, ['db 0→1 wake']);
  assert.equal(sim.decision('a'), 'await-dependencies');
  sim.pod('db', 'db-0');
  await sim.pass(0);
  await sim.wake('a');
  assert.deepEqual(sim.patches, ['db 0→1 wake', 'b 0→1 wake']);
  sim.pod('b', 'b-0');
  await sim.wake('a');
  assert.deepEqual(sim.patches.slice(2), ['a 0→1 wake']);
  sim.pod('a', 'a-0');
  const report = () => {
    sim.report('b', 'b-0');
    sim.report('db', 'db-0');
  };
  await sim.pass(60, () => {
    report();
    sim.report('a', 'a-0', { runningNow: 1, running: 1 });
  });
  assert.equal(sim.patches.length, 3, 'b and db are unused for a minute and stay');
  await sim.pass(31, () => {
    report();
    sim.report('a', 'a-0');
  });
  assert.deepEqual(sim.patches.slice(3), ['a 1→0 sleep']);
  // Its pod still ends its work: what it depends on stays.
  await sim.pass(5, report);
  assert.equal(sim.replicas('b'), 1);
  sim.podGone('a-0');
  await sim.pass(1, report);
  assert.equal(sim.replicas('b'), 0);
  sim.podGone('b-0');
  await sim.pass(1, report);
  assert.equal(sim.replicas('db'), 0);
});

test('behaviour 18: a dependency that became ready starts its dependent at once, not at the next tick', async () => {
  const sim = new Sim();
  sim.fn('a', 0, { 'SlimFaas/DependsOn': 'b' });
  sim.fn('b');
  await sim.wake('a');
  sim.pod('b', 'b-0', { isReady: false });
  assert.deepEqual(sim.patches, ['b 0→1 wake']);
  // Its sidecar is faster than Kubernetes.
  sim.reconciler.onReady(
    { namespace: 'default', name: 'b' },
    { pod: 'b-0', ip: '10.0.0.1', port: 15080, state: 'ready' },
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(sim.patches, ['b 0→1 wake', 'a 0→1 wake']);
});

test('a cycle of dependencies is told and still wakes', async () => {
  const sim = new Sim();
  sim.fn('a', 0, { 'SlimFaas/DependsOn': 'b' });
  sim.fn('b', 0, { 'SlimFaas/DependsOn': 'a' });
  await sim.wake('a');
  assert.match(sim.faults.get('a')?.join() ?? '', /cycle, default\/a → default\/b → default\/a/);
  sim.pod('b', 'b-0');
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['b 0→1 wake', 'a 0→1 wake']);
});

test('a dependency that is no function is waited for, and one that does not exist is not', async () => {
  const sim = new Sim();
  sim.deploy('plain', 1, {});
  sim.fn('a', 0, { 'SlimFaas/DependsOn': 'plain,nowhere' });
  await sim.wake('a');
  assert.equal(sim.decision('a'), 'await-dependencies');
  assert.match(sim.faults.get('a')?.join() ?? '', /no workload "nowhere"/);
  sim.deploy('plain', 1, {});
  sim.pod('plain', 'plain-0', { hasSidecar: false });
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['a 0→1 wake']);
});

test('any function: the use of another wakes it, and keeps it awake', async () => {
  const sim = new Sim();
  sim.fn('shared', 0, { 'SlimFaas/ReplicasStartAsSoonAsOneFunctionRetrieveARequest': 'true', ...IDLE_10 });
  sim.fn('other', 0, IDLE_10);
  await sim.wake('other');
  assert.deepEqual(sim.patches.toSorted(), ['other 0→1 wake', 'shared 0→1 wake']);
  sim.pod('other', 'o');
  sim.pod('shared', 's');
  const report = (busy: object) => () => {
    sim.report('shared', 's');
    sim.report('other', 'o', busy);
  };
  await sim.pass(30, report({ runningNow: 1, running: 1 }));
  assert.equal(sim.replicas('shared'), 1);
  await sim.pass(12, report({}));
  assert.equal(sim.replicas('shared') + sim.replicas('other'), 0);
});

test('jobs hold a function awake, and an end of them counts as use', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, IDLE_10);
  sim.jobs.set('default/fn', 3);
  sim.reconciler.onJobs('default/fn');
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
  sim.pod('fn', 'p');
  await sim.pass(60, () => sim.report('fn', 'p'));
  assert.equal(sim.decision('fn'), 'active');
  sim.jobs.clear();
  sim.report('fn', 'p', { finished: 1 });
  await sim.pass(9, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 1);
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 0);
});

test('a human’s kubectl scale stands for one idle timeout, up and down', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { ...IDLE_10, 'SlimFaas/ReplicasMin': '1' });
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  await sim.pass(1);
  sim.scaleByHand('fn', 4);
  await sim.pass(8, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 4);
  await sim.pass(3, () => sim.report('fn', 'p'));
  assert.deepEqual(sim.patches, ['fn 4→1 sleep']);
  sim.scaleByHand('fn', 0);
  sim.podGone('p');
  await sim.pass(8);
  assert.equal(sim.replicas('fn'), 0);
  await sim.pass(3);
  assert.equal(sim.replicas('fn'), 1, 'ReplicasMin holds again');
});

test('a 0 that somebody sets stands against callers of before, and not against those who still wait', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, IDLE_10);
  await sim.wake('fn');
  sim.pod('fn', 'p');
  sim.scaleByHand('fn', 0);
  sim.podGone('p');
  await sim.pass(2);
  assert.equal(sim.replicas('fn'), 0, 'its caller was answered, only the proxy has not said so yet');
  await sim.wake('fn');
  assert.equal(sim.replicas('fn'), 1);
});

test('what we patch ourselves is not taken for somebody else’s', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, IDLE_10);
  await sim.wake('fn');
  await sim.pass(2);
  assert.equal(sim.reconciler.observed.of('default/fn')?.setByOthers, undefined);
});

test('a follower decides the same and patches nothing, until a wake is left alone for a second', async () => {
  const sim = new Sim();
  sim.isLeader = false;
  sim.fn('fn', 0, IDLE_10);
  sim.fn('idle', 1, IDLE_10);
  await sim.wake('fn');
  assert.deepEqual(sim.patches, []);
  assert.equal(sim.decision('fn'), 'wake');
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
  await sim.pass(60);
  assert.equal(sim.replicas('idle'), 1, 'it helps upwards only');
});

test('a wake for a function that does not exist is not known', async () => {
  const sim = new Sim();
  sim.deploy('plain', 0, {});
  assert.equal(await sim.wake('nobody'), false);
  assert.equal(await sim.wake('plain'), false);
});

test('opting out ends it: state is forgotten and the count left alone', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, IDLE_10);
  sim.pod('fn', 'p');
  sim.report('fn', 'p');
  sim.deploy('fn', 1, {});
  await sim.pass(60);
  assert.deepEqual(sim.patches, []);
  assert.equal(sim.reconciler.observed.of('default/fn'), undefined);
});

test('a schedule wakes at its local time and its timeouts hold by the clock', async () => {
  // 5 January 2026, Paris is UTC+1: 06:59:50 there.
  const sim = new Sim({ startMs: Date.UTC(2026, 0, 5, 5, 59, 50) });
  const schedule = {
    TimeZoneID: 'Europe/Paris',
    Default: {
      WakeUp: ['07:00'],
      ScaleDownTimeout: [
        { Time: '06:00', Value: 600 },
        { Time: '07:05', Value: 20 },
      ],
    },
  };
  sim.fn('fn', 0, { ...IDLE_10, 'SlimFaas/Schedule': JSON.stringify(schedule) });
  await sim.pass(9);
  assert.deepEqual(sim.patches, []);
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
  sim.pod('fn', 'p');
  await sim.pass(299, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 1, 'the timeout of the morning is ten minutes');
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 0, 'from 07:05 on it is 20 s, long past');
});

test('faults of annotations are told when they are written, and again by a new leader', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/ReplicasMin': 'many' });
  assert.match(sim.faults.get('fn')?.join() ?? '', /SlimFaas\/ReplicasMin: not allowed.*in force: 0/);
  sim.faults.clear();
  sim.reconciler.onLeading();
  assert.equal(sim.faults.get('fn')?.length, 1);
});

test('scaling does not read annotations again', async () => {
  const sim = new Sim();
  sim.fn('fn', 0);
  const version = sim.reconciler.observed.world.specVersion;
  await sim.wake('fn');
  await sim.pass(1);
  assert.equal(sim.replicas('fn'), 1);
  assert.equal(sim.reconciler.observed.world.specVersion, version);
});

test('an indirect dependency is waited for too, even where the direct one is up', async () => {
  const sim = new Sim();
  sim.fn('a', 0, { 'SlimFaas/DependsOn': 'b' });
  sim.fn('b', 1, { 'SlimFaas/DependsOn': 'db' });
  sim.pod('b', 'b-0');
  sim.fn('db');
  await sim.wake('a');
  assert.equal(sim.decision('a'), 'await-dependencies');
  assert.deepEqual(sim.patches, ['db 0→1 wake']);
  sim.pod('db', 'db-0');
  await sim.wake('a');
  assert.deepEqual(sim.patches, ['db 0→1 wake', 'a 0→1 wake']);
});

test('a paused function’s callers wake nothing that it depends on', async () => {
  const sim = new Sim();
  sim.fn('a', 0, { 'SlimFaas/DependsOn': 'b', 'slimfaas.dev/paused': 'true' });
  sim.fn('b');
  await sim.wake('a');
  await sim.pass(2);
  assert.deepEqual(sim.patches, []);
});

test('a watch that is faster than the answer to our patch shows nobody else’s change', async () => {
  const sim = new Sim();
  sim.fn('fn');
  sim.onScale = async ({ to }) => {
    sim.scaleByHand('fn', to);
    return { kind: 'done', replicas: to, resourceVersion: '2' };
  };
  await sim.wake('fn');
  assert.equal(sim.replicas('fn'), 1);
  assert.equal(sim.reconciler.observed.of('default/fn')?.setByOthers, undefined);
});

test('behaviour 10: who came to wait while a patch was under way is served by the next one at once', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/NumberParallelRequest': '100' });
  const asked: number[] = [];
  const answers: (() => void)[] = [];
  sim.onScale = ({ to }) => {
    asked.push(to);
    return new Promise((resolve) =>
      answers.push(() => resolve({ kind: 'done', replicas: to, resourceVersion: String(asked.length + 1) })),
    );
  };
  await sim.wake('fn', 1);
  await sim.wake('fn', 1_000);
  assert.deepEqual(asked, [1], 'one patch at a time');
  answers[0]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, [1, 10]);
});

test('a patch that was overtaken changes nothing that we know', async () => {
  const sim = new Sim();
  sim.fn('fn');
  sim.onScale = async () => ({ kind: 'overtaken' });
  await sim.wake('fn');
  assert.deepEqual(sim.patches, []);
  sim.onScale = undefined;
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('pods that were listed before their workload get their shares', async () => {
  const sim = new Sim({ isSynced: false });
  sim.pod('fn', 'p');
  sim.fn('fn', 1, { 'SlimFaas/NumberParallelRequest': '5' });
  sim.reconciler.onSynced(true);
  sim.report('fn', 'p', { limit: 1 });
  await sim.pass(1);
  assert.deepEqual(sim.shares.at(-1), { limit: 5, shares: { p: 5 } });
});

test('shares are told again every five seconds, and at once to a pod that says it is ready', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/NumberParallelRequest': '5' });
  sim.pod('fn', 'p');
  sim.report('fn', 'p', { limit: 5 });
  await sim.pass(1);
  const before = sim.shares.length;
  await sim.pass(10);
  assert.equal(sim.shares.length - before, 2);
  const message = { pod: 'p', ip: '10.0.0.1', port: 15080, state: 'ready' } as const;
  sim.reconciler.onReady({ namespace: 'default', name: 'fn' }, message);
  assert.equal(sim.shares.length - before, 3);
});

test('a pod whose sidecar restarts alone gets its share back', async () => {
  const sim = new Sim();
  sim.fn('fn', 2, { 'SlimFaas/NumberParallelRequest': '4' });
  const report = (): void => {
    for (const pod of ['p', 'q']) sim.report('fn', pod, { limit: sim.shares.at(-1)?.shares[pod] ?? 0 });
  };
  const say = (state: 'ready' | 'draining', start: number, seq: number): void => {
    const message = { pod: 'p', ip: '10.0.0.1', port: 15080, state, start, seq };
    sim.reconciler.onReady({ namespace: 'default', name: 'fn' }, message);
  };
  for (const pod of ['p', 'q']) sim.pod('fn', pod);
  await sim.pass(8, report);
  assert.deepEqual(sim.shares.at(-1)?.shares, { p: 2, q: 2 });
  say('draining', 1_000, 1);
  await sim.pass(8, report);
  assert.equal(sim.shares.at(-1)?.shares['q'], 4);
  say('ready', 1_000, 0); // overtaken by the word before
  await sim.pass(8, report);
  assert.equal(sim.shares.at(-1)?.shares['q'], 4);
  say('ready', 2_000, 0);
  await sim.pass(8, report);
  assert.deepEqual(sim.shares.at(-1)?.shares, { p: 2, q: 2 });
});

test('a pod whose report shows that it missed its share is told again at once', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/NumberParallelRequest': '5' });
  sim.pod('fn', 'p', { isReady: false });
  assert.deepEqual(sim.shares.at(-1)?.shares, { p: 1 });
  sim.pod('fn', 'q', { isReady: false });
  await sim.pass(6);
  const before = sim.shares.length;
  sim.report('fn', 'p', { limit: 0 });
  assert.equal(sim.shares.length - before, 1, 'it was told 1');
  sim.report('fn', 'p', { limit: 0 });
  assert.equal(sim.shares.length - before, 1, 'a report that was under way');
  sim.report('fn', 'p', { limit: 1 });
  await sim.pass(2);
  assert.equal(sim.shares.length - before, 1, 'confirmed');
});

test('a new leader grants nothing in its first second', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/NumberParallelRequest': '5' });
  sim.reconciler.onLeading();
  sim.pod('fn', 'p');
  sim.report('fn', 'p', { limit: 1 });
  assert.deepEqual(sim.shares, []);
  await sim.pass(1);
  assert.equal(sim.shares.length, 1);
});

test('a report of a pod that no watch has shown is no load: the function sleeps all the same', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '5' });
  sim.pod('fn', 'real');
  sim.report('fn', 'ghost', { runningNow: 1, running: 1 });
  await sim.pass(10, () => sim.report('fn', 'real'));
  assert.equal(sim.replicas('fn'), 0);
});

test('a report that comes before the pod’s own watch event counts once the pod is known', async () => {
  const sim = new Sim();
  sim.fn('fn', 1);
  sim.report('fn', 'early', { runningNow: 1, running: 1 });
  assert.equal(sim.reconciler.observed.of('default/fn')?.activity.runningNow(), 0);
  sim.pod('fn', 'early');
  assert.equal(sim.reconciler.observed.of('default/fn')?.activity.runningNow(), 1);
});

test('any number of ghosts leaves room for the next pod’s early report', async () => {
  const sim = new Sim();
  sim.fn('fn', 1);
  for (let i = 0; i < 1_000; i++) sim.report('fn', `ghost-${i}`);
  assert.equal(sim.reconciler.observed.earlyReports(), 100);
  sim.report('fn', 'early', { runningNow: 1, running: 1 });
  sim.pod('fn', 'early');
  assert.equal(sim.reconciler.observed.of('default/fn')?.activity.runningNow(), 1);
});
