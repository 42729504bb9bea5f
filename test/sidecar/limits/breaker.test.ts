import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Breaker, BreakerError, type Place } from '../../../sidecar/limits/breaker.ts';

/** What became of an acquire, without waiting for it. */
function track(promise: Promise<Place>): { place?: Place; error?: BreakerError } {
  const seen: { place?: Place; error?: BreakerError } = {};
  promise.then(
    (place) => (seen.place = place),
    (error: BreakerError) => (seen.error = error),
  );
  return seen;
}

/** All promise callbacks that are due have run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function mustTake(breaker: Breaker): Place {
  const place = breaker.tryAcquire();
  assert.ok(place, 'a place is free');
  return place;
}

describe('breaker: admitting', () => {
  it('hands out as many places as the limit and then none', () => {
    const breaker = new Breaker({ limit: 2, queueLimit: 5 });
    mustTake(breaker);
    mustTake(breaker);
    assert.equal(breaker.tryAcquire(), undefined);
    assert.deepEqual([breaker.running, breaker.waiting, breaker.free], [2, 0, 0]);
  });

  it('behaviour 1: limit L, queue Q, all full: one more is refused at once', async () => {
    const breaker = new Breaker({ limit: 2, queueLimit: 3 });
    for (let i = 0; i < 2; i++) await breaker.acquire();
    const waiting = Array.from({ length: 3 }, () => track(breaker.acquire()));
    await assert.rejects(breaker.acquire(), { name: 'BreakerError', code: 'queue-full' });
    assert.equal(breaker.waiting, 3);
    assert.ok(waiting.every((w) => !w.place && !w.error));
  });

  it('with a queue of 0 refuses as soon as it is full', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 0 });
    mustTake(breaker);
    await assert.rejects(breaker.acquire(), { code: 'queue-full' });
  });

  it('behaviour 3: A queued, then B; a place frees; A goes first, no newcomer before them', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 5 });
    const first = mustTake(breaker);
    const a = track(breaker.acquire());
    const b = track(breaker.acquire());
    first.release();
    assert.equal(breaker.tryAcquire(), undefined, 'the free place belongs to A already');
    await settled();
    assert.ok(a.place && !b.place);
    a.place.release();
    await settled();
    assert.ok(b.place);
  });

  it('behaviour 7: a place is released exactly once, however often release is called', async () => {
    const breaker = new Breaker({ limit: 2, queueLimit: 5 });
    const [one] = [mustTake(breaker), mustTake(breaker)];
    const waiters = [track(breaker.acquire()), track(breaker.acquire())];
    one.release();
    one.release();
    one.release();
    await settled();
    assert.deepEqual(
      waiters.map((w) => w.place !== undefined),
      [true, false],
    );
    assert.equal(breaker.running, 2);
  });

  it('says which option is bad and what it was given', () => {
    assert.throws(
      () => new Breaker({ limit: -1, queueLimit: 0 }),
      /limit must be a whole number ≥ 0, got -1/,
    );
    assert.throws(() => new Breaker({ limit: 1, queueLimit: 0.5 }), /queueLimit .* got 0.5/);
    assert.throws(() => new Breaker({ limit: 1, queueLimit: 1 }).resize(Number.NaN), /limit .* got NaN/);
  });
});

describe('breaker: leaving the line', () => {
  it('behaviour 4: a queued caller leaves: out of the line, never served, counters return to 0', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 5 });
    const running = mustTake(breaker);
    const caller = new AbortController();
    const waiter = track(breaker.acquire({ signal: caller.signal }));
    assert.equal(breaker.waiting, 1);
    caller.abort();
    assert.equal(breaker.waiting, 0);
    running.release();
    await settled();
    assert.equal(waiter.error?.code, 'abandoned');
    assert.deepEqual([breaker.running, breaker.waiting], [0, 0]);
  });

  it('one who left before asking takes no place although one is free', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 5 });
    await assert.rejects(breaker.acquire({ signal: AbortSignal.abort() }), { code: 'abandoned' });
    assert.equal(breaker.running, 0);
  });

  it('a signal that aborts after its waiter was served changes nothing', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 5 });
    const running = mustTake(breaker);
    const caller = new AbortController();
    const waiter = track(breaker.acquire({ signal: caller.signal }));
    running.release();
    caller.abort();
    await settled();
    assert.ok(waiter.place);
    assert.equal(breaker.running, 1);
  });

  it('behaviour 5: a queued caller’s deadline passes: refused with its own reason, those behind move up', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const breaker = new Breaker({ limit: 1, queueLimit: 5 });
    const running = mustTake(breaker);
    const hasty = track(breaker.acquire({ timeoutMs: 100 }));
    const patient = track(breaker.acquire({ timeoutMs: 10_000 }));
    t.mock.timers.tick(99);
    await settled();
    assert.equal(breaker.waiting, 2);
    t.mock.timers.tick(1);
    await settled();
    assert.equal(hasty.error?.code, 'wait-timeout');
    running.release();
    await settled();
    assert.ok(patient.place);
    t.mock.timers.tick(10_000);
    await settled();
    assert.equal(patient.error, undefined, 'the waiting clock stops when running begins');
  });

  it('takes a timeout beyond what a timer can hold as no timeout', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 5 });
    const running = mustTake(breaker);
    const waiter = track(breaker.acquire({ timeoutMs: 2 ** 40 }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    running.release();
    await settled();
    assert.ok(waiter.place);
  });
});

describe('breaker: resizing', () => {
  it('behaviour 6: a lower limit kills none, and admits none until below', async () => {
    const breaker = new Breaker({ limit: 4, queueLimit: 5 });
    const places = [1, 2, 3, 4].map(() => mustTake(breaker));
    const waiter = track(breaker.acquire());
    breaker.resize(2);
    assert.deepEqual([breaker.running, breaker.free], [4, 0]);
    places[0]?.release();
    places[1]?.release();
    await settled();
    assert.equal(waiter.place, undefined, 'two run, two may: still full');
    places[2]?.release();
    await settled();
    assert.ok(waiter.place);
    assert.equal(breaker.running, 2);
  });

  it('behaviour 6: a raise admits exactly the difference', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 9 });
    mustTake(breaker);
    const waiters = Array.from({ length: 5 }, () => track(breaker.acquire()));
    breaker.resize(4);
    await settled();
    assert.deepEqual(
      waiters.map((w) => w.place !== undefined),
      [true, true, true, false, false],
    );
  });

  it('a limit of 0 stops admission and a later raise takes it up again', async () => {
    const breaker = new Breaker({ limit: 0, queueLimit: 5 });
    assert.equal(breaker.tryAcquire(), undefined);
    const waiter = track(breaker.acquire());
    breaker.resize(1);
    await settled();
    assert.ok(waiter.place);
  });
});

describe('breaker: coming back for a retry', () => {
  it('stands before all who arrived later, and behind those who arrived earlier', async () => {
    const breaker = new Breaker({ limit: 2, queueLimit: 9 });
    const [early, late] = [mustTake(breaker), mustTake(breaker)];
    const newcomer = track(breaker.acquire());
    early.release(); // the newcomer takes this place
    const second = track(breaker.acquire());
    late.release(); // and this one `second`
    await settled();
    const third = track(breaker.acquire());
    const lateAgain = track(breaker.acquire({ arrival: late.arrival }));
    const earlyAgain = track(breaker.acquire({ arrival: early.arrival }));
    const served: string[] = [];
    for (const holder of [newcomer, second, earlyAgain, lateAgain, third]) {
      holder.place?.release();
      await settled();
      if (earlyAgain.place && !served.includes('early')) served.push('early');
      if (lateAgain.place && !served.includes('late')) served.push('late');
      if (third.place && !served.includes('third')) served.push('third');
    }
    assert.deepEqual(served, ['early', 'late', 'third']);
  });

  it('is let in although the line is full: it was admitted once', async () => {
    const breaker = new Breaker({ limit: 1, queueLimit: 1 });
    const first = mustTake(breaker);
    const other = track(breaker.acquire());
    first.release();
    const full = track(breaker.acquire());
    const again = track(breaker.acquire({ arrival: first.arrival }));
    await settled();
    assert.equal(again.error, undefined);
    assert.equal(breaker.waiting, 2);
    other.place?.release();
    await settled();
    assert.ok(again.place && !full.place);
  });
});

describe('breaker: what it tells', () => {
  it('averages running by time, a window at a time', () => {
    let now = 0;
    const breaker = new Breaker({ limit: 5, queueLimit: 0, now: () => now });
    const place = mustTake(breaker);
    now = 100;
    place.release();
    now = 1_000;
    assert.deepEqual(breaker.readWindow(), { average: 0.1, windowMs: 1_000 });
    mustTake(breaker);
    now = 1_500;
    assert.deepEqual(breaker.readWindow(), { average: 1, windowMs: 500 });
  });
});
