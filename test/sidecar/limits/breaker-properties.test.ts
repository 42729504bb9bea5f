/**
 * The breaker against a model that is too simple to be wrong: a list of who runs and a list of who waits,
 * sorted by arrival. Whatever the sequence of arrivals, releases, departures, retries and resizes, both agree
 * after every step on who runs and who waits, in which order.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Breaker, type Place } from '../../../sidecar/limits/breaker.ts';
import { TimeAverage } from '../../../common/runtime/time-average.ts';

interface Caller {
  readonly id: number;
  readonly leave: AbortController;
  place: Place | undefined;
  arrival: number | undefined;
}

interface Model {
  limit: number;
  running: number[];
  waiting: number[];
}

type Step =
  | { readonly kind: 'arrive' }
  | { readonly kind: 'try' }
  | { readonly kind: 'release'; readonly which: number }
  | { readonly kind: 'leave'; readonly which: number }
  | { readonly kind: 'retry'; readonly which: number }
  | { readonly kind: 'resize'; readonly limit: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'arrive' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'try' as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('retry' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('resize' as const), limit: fc.nat({ max: 4 }) }) },
);

const QUEUE_LIMIT = 4;

class World {
  readonly breaker: Breaker;
  readonly model: Model;
  readonly callers: Caller[] = [];

  constructor(limit: number) {
    this.breaker = new Breaker({ limit, queueLimit: QUEUE_LIMIT });
    this.model = { limit, running: [], waiting: [] };
  }

  async run(s: Step): Promise<void> {
    if (s.kind === 'arrive') this.#acquire(this.#newCaller(), false);
    else if (s.kind === 'try') this.#tryAcquire();
    else if (s.kind === 'resize') this.#resize(s.limit);
    else if (s.kind === 'leave') this.#leave(s.which);
    else this.#release(s.which, s.kind === 'retry');
    await new Promise((resolve) => setImmediate(resolve));
  }

  check(): void {
    const { breaker, model } = this;
    const holders = this.callers.filter((c) => c.place).map((c) => c.id);
    assert.deepEqual(holders, model.running.toSorted(byNumber), 'the same callers run');
    assert.equal(breaker.running, model.running.length);
    assert.equal(breaker.waiting, model.waiting.length);
    assert.ok(breaker.waiting === 0 || breaker.running >= breaker.limit, 'nobody waits beside a free place');
  }

  #newCaller(): Caller {
    const caller: Caller = {
      id: this.callers.length,
      leave: new AbortController(),
      place: undefined,
      arrival: undefined,
    };
    this.callers.push(caller);
    return caller;
  }

  #acquire(caller: Caller, isRetry: boolean): void {
    const { model } = this;
    if (model.running.length < model.limit) model.running.push(caller.id);
    else if (isRetry || model.waiting.length < QUEUE_LIMIT) model.waiting.push(caller.id);
    model.waiting.sort((a, b) => this.#arrivalOf(a) - this.#arrivalOf(b));
    this.breaker
      .acquire({ signal: caller.leave.signal, arrival: caller.arrival })
      .then((place) => {
        caller.place = place;
        caller.arrival = place.arrival;
      })
      .catch(() => undefined);
  }

  /** A caller's id grows with his arrival, so it stands for an arrival number that is not known yet. */
  #arrivalOf(id: number): number {
    return id;
  }

  #tryAcquire(): void {
    const caller = this.#newCaller();
    const place = this.breaker.tryAcquire();
    assert.equal(place !== undefined, this.model.running.length < this.model.limit);
    if (!place) return;
    caller.place = place;
    caller.arrival = place.arrival;
    this.model.running.push(caller.id);
  }

  #resize(limit: number): void {
    this.model.limit = limit;
    this.#serve();
    this.breaker.resize(limit);
  }

  #leave(which: number): void {
    const id = pick(this.model.waiting, which);
    if (id === undefined) return;
    this.model.waiting = this.model.waiting.filter((other) => other !== id);
    this.callers[id]?.leave.abort();
  }

  #release(which: number, comesBack: boolean): void {
    const id = pick(this.model.running, which);
    const caller = id === undefined ? undefined : this.callers[id];
    if (!caller) return;
    this.model.running = this.model.running.filter((other) => other !== id);
    this.#serve();
    const { place } = caller;
    caller.place = undefined;
    place?.release();
    place?.release(); // twice is harmless, always
    if (comesBack) this.#acquire(caller, true);
  }

  #serve(): void {
    const { model } = this;
    while (model.waiting.length > 0 && model.running.length < model.limit) {
      model.running.push(model.waiting.shift() as number);
    }
  }
}

function pick(from: readonly number[], which: number): number | undefined {
  return from.length === 0 ? undefined : from[which % from.length];
}

function byNumber(a: number, b: number): number {
  return a - b;
}

describe('breaker: properties', () => {
  it('agrees with its model after any sequence of steps', async () => {
    const sequences = fc.array(step, { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 4 }), sequences, async (limit, steps) => {
        const world = new World(limit);
        for (const s of steps) {
          await world.run(s);
          world.check();
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('time average: properties', () => {
  it('equals the sum of value × time over the time, whatever the window cuts', () => {
    const changes = fc.array(
      fc.record({
        value: fc.nat({ max: 50 }),
        forMs: fc.integer({ min: 1, max: 5_000 }),
        read: fc.boolean(),
      }),
      { minLength: 1, maxLength: 40 },
    );
    fc.assert(
      fc.property(changes, (list) => {
        let now = 1_000;
        const average = new TimeAverage(() => now);
        let area = 0;
        let readArea = 0;
        for (const change of list) {
          average.set(change.value);
          now += change.forMs;
          area += change.value * change.forMs;
          if (!change.read) continue;
          const reading = average.read();
          readArea += reading.average * reading.windowMs;
        }
        const last = average.read();
        readArea += last.average * last.windowMs;
        assert.ok(Math.abs(area - readArea) < 1e-3 * Math.max(1, area));
      }),
    );
  });

  it('is the value itself in an empty window, and never negative when the clock steps back', () => {
    let now = 5_000;
    const average = new TimeAverage(() => now, 3);
    assert.deepEqual(average.read(), { average: 3, windowMs: 0 });
    now = 4_000;
    average.set(1);
    assert.deepEqual(average.read(), { average: 1, windowMs: 0 });
    now = 6_000;
    assert.deepEqual(average.read(), { average: 1, windowMs: 1_000 });
  });
});
