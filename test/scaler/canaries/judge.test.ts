/** When a canary is rolled back, and what is counted for it. */
import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import { CallTally, DURATION_BUCKETS } from '../../../common/call/call-counts.ts';
import { silentLog, type Log } from '../../../common/runtime/log.ts';
import { Canaries } from '../../../scaler/canaries/canaries.ts';
import { whyByErrors, whyByTimes } from '../../../scaler/canaries/judge.ts';
import type { Workload } from '../../../scaler/world/kube-objects.ts';

/** @returns a tally of calls of which some failed */
function tally(calls: number, failed: number, ms = 10): CallTally {
  const made = new CallTally();
  for (let i = 0; i < calls; i++) made.note(i < failed, ms);
  return made;
}

const SPEC = { calls: 100, errorMarginPercent: 5, latencyMarginPercent: 50 };

function why(canary: CallTally, stable: CallTally, spec: Partial<typeof SPEC> = {}): string | undefined {
  const margins = { ...SPEC, ...spec };
  return whyByErrors(canary, stable, margins, 'shop') ?? whyByTimes(canary, stable, margins, 'shop');
}

describe('a canary is rolled back', () => {
  it('for more errors than the margin above the other one allows', () => {
    assert.equal(why(tally(100, 6), tally(900, 9)), undefined);
    assert.equal(
      why(tally(100, 20), tally(900, 9)),
      '20 % of 100 calls failed, and 1 % of 900 calls of shop; allowed: 5 points more',
    );
  });
  it('not for errors that the other one has too', () =>
    assert.equal(why(tally(100, 50), tally(900, 450)), undefined));
  it('for errors where the other one had no calls', () => {
    assert.match(why(tally(100, 20), tally(0, 0)) ?? '', /^20 % of 100 calls failed/);
    assert.equal(
      why(tally(100, 6), tally(0, 0)),
      undefined,
      'above the margin, and within four standard errors',
    );
  });
  it('not for more errors than few calls of the other one had', () =>
    assert.equal(why(tally(100, 20), tally(3, 0)), undefined));
  it('for a 95th percentile above the margin, where one is given', () => {
    assert.match(
      why(tally(100, 0, 20), tally(900, 0, 10)) ?? '',
      /^the 95th percentile of 100 calls is \d+ ms, and that of 900 calls of shop \d+ ms; allowed: 50 % more/,
    );
    assert.equal(why(tally(100, 0, 13), tally(900, 0, 10)), undefined);
    assert.equal(
      whyByTimes(tally(100, 0, 900), tally(900, 0), { latencyMarginPercent: undefined }, 'shop'),
      undefined,
    );
  });
  it('not for durations of fewer than 100 calls of either', () => {
    assert.equal(why(tally(100, 0, 900), tally(99, 0, 1)), undefined);
    assert.equal(why(tally(99, 0, 900), tally(100, 0, 1)), undefined);
    assert.ok(why(tally(100, 0, 900), tally(100, 0, 1)));
  });
});

test('a percentile is right to a fifth, from a millisecond to half an hour', () => {
  for (const ms of [0.2, 1, 7, 99, 1_234, 60_000, 1_700_000]) {
    const got = tally(50, 0, ms).percentile(0.95, 20) as number;
    assert.ok(got >= ms / 1.21 && got <= Math.max(1, ms * 1.21), `${ms} ms: ${got}`);
  }
  const mixed = tally(95, 0, 10);
  for (let i = 0; i < 5; i++) mixed.note(false, 5_000);
  assert.ok((mixed.percentile(0.95, 20) as number) < 13);
  assert.ok((mixed.percentile(0.96, 20) as number) > 4_000);
});

test('what was counted is taken once, and adds up elsewhere to the same', () => {
  const [from, to] = [tally(30, 3, 40), new CallTally()];
  from.note(true, undefined);
  const taken = from.take();
  assert.ok(taken);
  assert.equal(from.take(), undefined);
  to.add(taken);
  to.add(taken);
  assert.deepEqual([to.ended, to.failed], [62, 8]);
  assert.equal(to.counts.durations.length, 2);
  assert.ok((to.counts.durations[0] as number) < DURATION_BUCKETS);
  assert.equal(to.counts.durations[1], 60);
});

class Fixture {
  isLeader = true;
  failures = 0;
  nowMs = 0;
  readonly rolledBack: string[] = [];
  readonly warned: object[] = [];
  readonly canaries = new Canaries({
    isLeader: () => this.isLeader,
    rollBack: async ({ key, revision }) => {
      this.rolledBack.push(`${key} ${revision}`);
      if (this.failures-- > 0) throw new Error('the API is away');
    },
    log: { ...silentLog, warn: (told: object) => void this.warned.push(told) } as Log,
  });

  say(name: string, calls: number, failed: number, more: Partial<Workload> = {}, ms = 10): void {
    const counts = tally(calls, failed, ms).take();
    if (counts) this.canaries.hear(workload(name, more), counts, (this.nowMs += 2_000));
  }

  get next() {
    return this.canaries.viewOf(workload('next'));
  }
}

function workload(name: string, more: Partial<Workload> = {}, latencyMarginPercent?: number): Workload {
  const rollBack = { calls: 100, errorMarginPercent: 5, latencyMarginPercent };
  const canary = name === 'next' ? { of: 'shop', weightPercent: 10, rollBack } : undefined;
  return {
    key: `default/${name}`,
    id: { namespace: 'default', name },
    revision: '1',
    isRollingOut: false,
    terminationGraceMs: 30_000,
    fn: { spec: { canary } },
    ...more,
  } as Workload;
}

const ENDED = { canaryEnd: { revision: '1', at: '', why: 'x', isPromoted: false } };

describe('canaries of a scaler', () => {
  it('are judged by the calls of all proxies together, each time so many have come', () => {
    const f = new Fixture();
    f.say('next', 60, 17);
    f.say('shop', 400, 0);
    f.say('next', 39, 3);
    assert.deepEqual(f.rolledBack, []);
    f.say('next', 1, 0);
    assert.deepEqual(f.rolledBack, ['default/next 1']);
  });

  it('are not judged before the function’s calls of the same second can be known', () => {
    const f = new Fixture();
    f.say('next', 100, 100);
    assert.deepEqual(f.rolledBack, []);
    f.say('shop', 900, 900);
    f.say('next', 1, 1);
    assert.deepEqual(f.rolledBack, []);
    assert.equal(f.next?.stable.errorPercent, 100);
  });

  it('are compared with calls of the same time: none before their first one, in a long pause, or after their end', () => {
    const f = new Fixture();
    f.canaries.onWorkload(workload('next'));
    f.say('shop', 400, 0);
    assert.equal(f.next?.stable.calls, 0, 'before');
    f.say('next', 10, 0);
    f.say('shop', 40, 0);
    assert.equal(f.next?.stable.calls, 40);
    f.nowMs += 600_000;
    f.say('shop', 400, 0);
    assert.equal(f.next?.stable.calls, 40, 'in the night');
    f.say('next', 10, 0);
    f.say('shop', 40, 0);
    assert.equal(f.next?.stable.calls, 80);
    f.canaries.onWorkload(workload('next', ENDED));
    f.say('shop', 40, 0);
    assert.deepEqual([f.next?.canary.calls, f.next?.stable.calls], [0, 0], 'it has ended');
  });

  it('are counted anew after each judgement', () => {
    const f = new Fixture();
    f.say('next', 1, 0);
    f.say('next', 99, 4);
    f.say('next', 99, 50);
    assert.deepEqual(f.rolledBack, []);
    assert.deepEqual([f.next?.of, f.next?.weight, f.next?.canary.calls], ['shop', 10, 199]);
    f.say('next', 1, 0);
    assert.equal(f.rolledBack.length, 1);
  });

  it('are compared by durations over as many windows as it takes', () => {
    const f = new Fixture();
    const slow = { fn: workload('next', {}, 50).fn } as Partial<Workload>;
    for (let window = 1; window <= 4; window++) {
      assert.deepEqual(f.rolledBack, [], `window ${window}`);
      f.say('next', 50, 0, slow, 900);
      f.say('shop', 25, 0);
      f.say('next', 50, 0, slow, 900);
    }
    assert.equal(f.rolledBack.length, 1);
  });

  it('are judged by the leader alone; a new leader counts on', () => {
    const f = new Fixture();
    f.isLeader = false;
    f.say('next', 50, 50);
    f.say('next', 50, 50);
    f.isLeader = true;
    f.say('next', 1, 1);
    assert.deepEqual(f.rolledBack, []);
    f.say('next', 99, 99);
    assert.equal(f.rolledBack.length, 1);
  });

  it('are rolled back at the next report where the API was away', async () => {
    const f = new Fixture();
    f.failures = 1;
    f.say('next', 50, 50);
    f.say('next', 50, 50);
    await Promise.resolve();
    f.say('next', 1, 0);
    await Promise.resolve();
    f.say('next', 1, 0);
    assert.equal(f.rolledBack.length, 2);
  });

  it('are tried again ever more rarely where the API refuses it, and it is logged once in ten minutes', async () => {
    const f = new Fixture();
    f.failures = Infinity;
    f.say('next', 50, 50);
    for (let report = 0; report < 600; report++) {
      f.say('next', 50, 50);
      await Promise.resolve();
    }
    const { length } = f.rolledBack;
    assert.ok(length >= 20 && length <= 50, `${length} tries in 20 minutes`);
    assert.ok(f.warned.length >= 1 && f.warned.length <= 2, `${f.warned.length} lines`);
    f.say('next', 1, 1, ENDED);
    f.nowMs += 60_000;
    f.say('next', 1, 1);
    assert.equal(f.rolledBack.length, length, 'somebody has ended it, and let it in again');
  });

  it('count nothing while two versions answer, or once they are rolled back', () => {
    const f = new Fixture();
    f.say('next', 99, 99, { isRollingOut: true });
    f.say('next', 99, 99);
    f.say('next', 99, 99, ENDED);
    f.say('next', 99, 99);
    assert.deepEqual(f.rolledBack, []);
  });

  for (const [terminationGraceMs, graceMs] of [
    [5_000, 30_000],
    [90_000, 90_000],
    [3_600_000, 300_000],
  ] as const)
    it(`count no answers of pods that end, which may take ${terminationGraceMs} ms`, () => {
      const f = new Fixture();
      const grace = { terminationGraceMs };
      f.canaries.onWorkload(workload('next', { ...grace, isRollingOut: true }));
      f.canaries.onWorkload(workload('next', grace));
      f.say('next', 99, 99, grace);
      f.nowMs += graceMs - 4_000;
      f.say('next', 99, 99, grace);
      assert.equal(f.next?.canary.calls, 0);
      f.say('next', 99, 0, grace);
      assert.deepEqual([f.next?.canary.calls, f.next?.canary.errorPercent], [99, 0]);
    });

  it('begin anew with another version, or of another function', () => {
    const f = new Fixture();
    f.say('next', 99, 99);
    f.say('next', 99, 99, { revision: '2' });
    f.nowMs += 30_000;
    f.say('next', 99, 99, { revision: '2' });
    assert.deepEqual(f.rolledBack, []);
    f.say('next', 1, 1, { revision: '2' });
    assert.deepEqual(f.rolledBack, ['default/next 2']);
    f.canaries.forget('default/next');
    assert.equal(f.next?.canary.calls, 0);
    assert.equal(f.canaries.viewOf(workload('shop')), undefined);
  });
});

describe('slimfaas.dev/roll-back', () => {
  const read = (text: string, canary: Record<string, string> = { 'slimfaas.dev/canary-of': 'shop' }) => {
    const annotations = { 'SlimFaas/Function': 'true', ...canary, 'slimfaas.dev/roll-back': text };
    const { spec, faults } = parseAnnotations(annotations);
    return [spec.canary?.rollBack, faults.map(({ problem }) => problem).join()];
  };
  const defaults = { calls: 100, errorMarginPercent: 5, latencyMarginPercent: undefined };

  it('looks at errors alone, unless it says otherwise', () => {
    assert.deepEqual(read('{}'), [defaults, '']);
    const all = read('{"Calls": 20, "ErrorMargin": 0, "LatencyMargin": 20}');
    assert.deepEqual(all, [{ calls: 20, errorMarginPercent: 0, latencyMarginPercent: 20 }, '']);
  });

  it('has a default for each number that cannot be used, and is none where it is no JSON', () => {
    const [spec, problem] = read('{"Calls": 9, "ErrorMargin": 101, "LatencyMargin": 19, "Call": 1}');
    assert.deepEqual(spec, defaults);
    assert.match(
      String(problem),
      /Call is not known; did you mean Calls\?.*Calls .*ErrorMargin .*LatencyMargin /,
    );
    assert.equal(read('on')[0], undefined);
  });

  it('counts only beside canary-of', () =>
    assert.deepEqual(read('{}', {}), [undefined, 'counts only beside slimfaas.dev/canary-of']));
});
