/** The line of connections that wait for a function's first pod: bounds, deadlines, reasons. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ReasonError } from '../../../common/runtime/errors.ts';
import type { Endpoint } from '../../../proxy/pods/endpoint.ts';
import { FirstPod, type PodWaiter } from '../../../proxy/waiting/first-pod.ts';
import { WaitingBudget } from '../../../proxy/waiting/waiting-budget.ts';
import { FakeClock } from '../support/fake-clock.ts';

const POD = { suspicion: undefined } as Endpoint;

class Fixture {
  readonly clock = new FakeClock();
  readonly ready: Endpoint[] = [];
  readonly budget = new WaitingBudget({ maxCalls: 3, maxBytes: 1_000_000 });
  readonly said: number[] = [];
  readonly came: string[] = [];
  readonly errors: ReasonError[] = [];
  never: string | undefined;
  readonly line = new FirstPod({
    pods: { ready: this.ready },
    budget: this.budget,
    clock: this.clock,
    random: () => 0,
    limits: () => ({ maxWaiting: 2, coldStartMs: 1_000 }),
    onWaiting: (waiting) => this.said.push(waiting),
    explainCold: () => 'the image is bad',
    hopeless: () => this.never,
  });

  join(name = 'a', arrivedMs = this.clock.now()): () => void {
    const waiter: PodWaiter = {
      arrivedMs,
      come: () => this.came.push(name),
      refused: (error) => this.errors.push(error),
    };
    return this.line.join(waiter);
  }
}

describe('connections that wait for a first pod', () => {
  test('all go at once, in order, when one is there; a newcomer does not wait', () => {
    const f = new Fixture();
    f.join('a');
    f.join('b');
    f.line.changed();
    assert.deepEqual(f.came, []);
    f.ready.push(POD);
    f.line.changed();
    f.join('c');
    assert.deepEqual(f.came, ['a', 'b', 'c']);
    assert.deepEqual(f.said, [1, 2, 1, 0]);
    assert.equal(f.budget.bytes, 0);
  });

  test('each has the time of a cold start; one that comes back keeps its deadline', () => {
    const f = new Fixture();
    f.join('a', -600);
    f.clock.advance(400);
    assert.match(f.errors[0]?.message ?? '', /no pod came up in 1 s: the image is bad/);
    assert.equal(f.errors[0]?.status, 504);
    assert.equal(f.line.waiting, 0);
  });

  test('bounds: of the function, and of the proxy', () => {
    const f = new Fixture();
    f.join();
    f.join();
    f.join();
    assert.match(f.errors[0]?.message ?? '', /2 connections are waiting for this function/);
    assert.equal(f.errors[0]?.status, 429);
    const g = new Fixture();
    for (let i = 0; i < 3; i++) g.budget.add(1);
    g.join();
    assert.match(g.errors[0]?.message ?? '', /3 calls are waiting in this proxy/);
  });

  test('nobody waits for nothing', () => {
    const f = new Fixture();
    f.never = 'it is paused';
    f.join();
    assert.match(f.errors[0]?.message ?? '', /it is paused/);
    assert.equal(f.line.waiting, 0);
  });

  test('who leaves counts no more, and leaving twice is harmless', () => {
    const f = new Fixture();
    const leave = f.join();
    leave();
    leave();
    assert.equal(f.budget.calls, 0);
    assert.deepEqual(f.said, [1, 0]);
  });
});
