import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ReasonError } from '../../../common/runtime/errors.ts';
import { Endpoint } from '../../../proxy/pods/endpoint.ts';
import { PodGroup, type PodPlace } from '../../../proxy/pods/pod-group.ts';
import { Throttler, type WaitingCall, type CallTicket } from '../../../proxy/waiting/throttler.ts';
import { WaitingBudget } from '../../../proxy/waiting/waiting-budget.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { podView, specOf } from '../support/pods.ts';

const LIMITS = { maxWaiting: 100, coldStartMs: 60_000, placeMs: 120_000 };

class TestCaller implements WaitingCall {
  readonly heldBytes = 10;
  readonly name: string;
  place: PodPlace | undefined;
  error: ReasonError | undefined;
  ticket: CallTicket | undefined;

  constructor(name: string) {
    this.name = name;
  }

  placed(place: PodPlace): void {
    this.place = place;
  }

  refused(error: ReasonError): void {
    this.error = error;
  }
}

function setUp({
  perPod = 1,
  pods = 1,
  limits = LIMITS,
  budget = { maxCalls: 1_000, maxBytes: 1_000_000 },
} = {}) {
  const clock = new FakeClock();
  const group = new PodGroup({ kind: 'Deployment', id: { namespace: 'd', name: 'f' } }, () => 0.3);
  const cold: number[] = [];
  const waitingBudget = new WaitingBudget(budget);
  const throttler = new Throttler({
    pods: group,
    budget: waitingBudget,
    clock,
    random: () => 1,
    limits: () => limits,
    onCold: (waiting) => cold.push(waiting),
    explainCold: () => 'because',
  });
  group.listen(() => throttler.changed());
  const addPod = (name: string, share?: number): Endpoint => {
    const spec = specOf({ 'SlimFaas/NumberParallelRequestPerPod': String(perPod) });
    const endpoint = new Endpoint(podView({ name, spec }));
    if (share !== undefined) endpoint.shared(share);
    group.add(endpoint);
    group.refresh();
    return endpoint;
  };
  const endpoints = Array.from({ length: pods }, (_, i) => addPod(`p${i}`));
  const arrive = (name: string): TestCaller => {
    const caller = new TestCaller(name);
    caller.ticket = throttler.ticket(caller);
    throttler.join(caller.ticket);
    return caller;
  };
  return { clock, group, cold, throttler, budget: waitingBudget, endpoints, addPod, arrive };
}

test('behaviour 3: A queued, then B; a place frees; A goes first, and no newcomer before them', () => {
  const t = setUp();
  const running = t.arrive('running');
  const [a, b] = [t.arrive('a'), t.arrive('b')];
  assert.equal(t.throttler.waiting, 2);
  running.place?.release();
  const newcomer = t.arrive('newcomer');
  assert.ok(a.place && !b.place && !newcomer.place);
  a.place.release();
  assert.ok(b.place && !newcomer.place);
});

test('a place that is free while somebody waits is not the newcomer’s', () => {
  const t = setUp();
  const running = t.arrive('running');
  const first = t.arrive('first');
  running.place?.release(true); // nobody was told yet
  const newcomer = t.arrive('newcomer');
  assert.equal(newcomer.place, undefined);
  t.throttler.changed();
  assert.ok(first.place && !newcomer.place);
});

test('behaviour 4: one who leaves the middle of the line is passed over, and counters return to 0', () => {
  const t = setUp();
  const running = t.arrive('running');
  const [a, b, c] = [t.arrive('a'), t.arrive('b'), t.arrive('c')];
  t.throttler.leave(b.ticket as CallTicket);
  t.throttler.leave(b.ticket as CallTicket);
  assert.deepEqual([t.throttler.waiting, t.budget.calls, t.budget.bytes], [2, 2, 20]);
  running.place?.release();
  a.place?.release();
  c.place?.release();
  assert.equal(b.place, undefined);
  assert.deepEqual([t.throttler.waiting, t.budget.calls, t.budget.bytes], [0, 0, 0]);
  assert.equal(t.clock.pending, 0, 'and no timer is left');
});

test('a call that comes back stands before all who came after it, in its old order among those who came back', () => {
  const t = setUp({ perPod: 2 });
  const [first, second] = [t.arrive('first'), t.arrive('second')];
  const third = t.arrive('third');
  for (const caller of [second, first]) {
    const place = caller.place as PodPlace;
    place.release(true);
    place.endpoint.refusedFull();
    caller.place = undefined;
    t.throttler.join(caller.ticket as CallTicket, true);
  }
  assert.equal(t.throttler.waiting, 3);
  const order: string[] = [];
  for (const caller of [first, second, third]) caller.placed = () => void order.push(caller.name);
  t.endpoints[0]?.learned(0, 5);
  t.throttler.changed();
  assert.deepEqual(order, ['first', 'second', 'third']);
});

test('the line is bounded for newcomers and not for those who come back', () => {
  const t = setUp({ limits: { ...LIMITS, maxWaiting: 1 } });
  const running = t.arrive('running');
  t.arrive('waits');
  assert.throws(() => t.arrive('too many'), { code: 'queue-full', status: 429, retryAfterSeconds: 1 });
  running.place?.release(true);
  running.place?.endpoint.refusedFull();
  t.throttler.join(running.ticket as CallTicket, true);
  assert.equal(t.throttler.waiting, 2);
});

test('no place in time while pods are there: queue-timeout, in order, each by its own clock', () => {
  const t = setUp();
  t.arrive('running');
  const a = t.arrive('a');
  t.clock.advance(50_000);
  const b = t.arrive('b');
  t.clock.advance(69_999);
  assert.equal(a.error, undefined);
  t.clock.advance(1);
  assert.equal(errorOf(a)?.code, 'queue-timeout');
  assert.equal(b.error, undefined);
  t.clock.advance(50_000);
  assert.equal(errorOf(b)?.code, 'queue-timeout');
});

test('no pod in time: cold-start-timeout with the explanation; the clock starts when the last pod goes', () => {
  const t = setUp();
  const [pod] = t.endpoints;
  t.arrive('running');
  const a = t.arrive('a');
  t.clock.advance(100_000);
  pod?.gone();
  t.group.refresh();
  t.clock.advance(59_999);
  assert.equal(a.error, undefined);
  t.clock.advance(1);
  assert.equal(errorOf(a)?.code, 'cold-start-timeout');
  assert.match(errorOf(a)?.message ?? '', /60 s: because/);
});

test('pods that come and go for ever do not keep a caller for ever', () => {
  const t = setUp({ pods: 0 });
  const a = t.arrive('a');
  for (let i = 0; i < 10 && !a.error; i++) {
    t.clock.advance(30_000);
    const pod = t.addPod(`p${i}`, 0);
    t.clock.advance(1);
    pod.gone();
    t.group.refresh();
  }
  assert.ok(a.error, 'refused');
  assert.ok(t.clock.now() <= 181_000, `after ${t.clock.now()} ms`);
});

test('a pod that keeps failing does not start the cold clock again with each try', () => {
  const t = setUp();
  const a = t.arrive('a');
  for (let i = 0; i < 1_000 && !a.error; i++) {
    if (a.place) {
      const { place } = a;
      a.place = undefined;
      place.release(true);
      place.endpoint.failed('ECONNREFUSED');
      t.throttler.join(a.ticket as CallTicket, true);
    }
    t.clock.advance(100);
  }
  assert.equal(errorOf(a)?.code, 'cold-start-timeout');
  assert.ok(t.clock.now() <= 62_000, `after ${t.clock.now()} ms`);
});

test('the activator hears how many wait for lack of a pod, and 0 as soon as there is one', () => {
  const t = setUp({ pods: 0 });
  const [a] = [t.arrive('a'), t.arrive('b')];
  assert.deepEqual(t.cold, [1, 2]);
  t.throttler.leave(a?.ticket as CallTicket);
  assert.equal(t.cold.at(-1), 1);
  t.addPod('p');
  assert.equal(t.cold.at(-1), 0);
});

test('a pod believed to be full is asked again by the clock, 50 ms first, less and less often, at most each second', () => {
  const t = setUp();
  const [pod] = t.endpoints;
  pod?.learned(1, 1);
  const a = t.arrive('a');
  const asked: number[] = [];
  while (t.clock.now() < 5_000) {
    t.clock.advance(10);
    if (!a.place) continue;
    asked.push(t.clock.now());
    const { place } = a;
    a.place = undefined;
    place.release(true);
    place.endpoint.refusedFull();
    t.throttler.join(a.ticket as CallTicket, true);
  }
  const gaps = asked.map((at, i) => at - (asked[i - 1] ?? 0));
  assert.deepEqual(gaps.slice(0, 6), [50, 100, 200, 400, 800, 1_000]);
  t.throttler.worked();
});

test('whoever waits is refused when the function goes', () => {
  const t = setUp({ pods: 0 });
  const callers = [t.arrive('a'), t.arrive('b')];
  const error = { code: 'unknown-function' } as ReasonError;
  t.throttler.refuseAll(error);
  assert.deepEqual(
    callers.map((caller) => caller.error),
    [error, error],
  );
  assert.deepEqual([t.throttler.waiting, t.budget.calls, t.clock.pending], [0, 0, 0]);
});

/** Read again: a fact that time changed is not one that the compiler may carry on. */
function errorOf(caller: TestCaller): ReasonError | undefined {
  return caller.error;
}

/** What may happen to a function; `pick` chooses among who is there. */
type Step = { kind: 'arrive' | 'leave' | 'finish' | 'refuse' | 'pod' | 'podGone' | 'tick'; pick: number };

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind']>(
      'arrive',
      'arrive',
      'leave',
      'finish',
      'finish',
      'refuse',
      'pod',
      'podGone',
      'tick',
    ),
    pick: fc.nat(1_000),
  }),
  { maxLength: 80 },
);

test('property: first come first served, limits kept, nobody lost, the budget right, whatever happens', () => {
  fc.assert(
    fc.property(steps, (history) => {
      const t = setUp({ perPod: 2, pods: 1 });
      const all: TestCaller[] = [];
      const left = new Set<TestCaller>();
      const done = new Set<TestCaller>();
      const pods = [...t.endpoints];
      /** Let through by the clock to a pod that is believed to be full. */
      let probed = 0;
      for (const { kind, pick } of history) {
        const running = all.filter((c) => c.place && !done.has(c));
        const waiting = all.filter((c) => !c.place && !c.error && !left.has(c));
        const one = <T>(list: T[]): T | undefined => list[pick % Math.max(1, list.length)];
        if (kind === 'arrive') all.push(t.arrive(String(all.length)));
        if (kind === 'pod') pods.push(t.addPod(`new${pods.length}`));
        if (kind === 'tick') {
          t.clock.advance(pick);
          probed += waiting.filter((c) => c.place).length;
        }
        const leaver = kind === 'leave' ? one(waiting) : undefined;
        if (leaver) {
          left.add(leaver);
          t.throttler.leave(leaver.ticket as CallTicket);
        }
        const finisher = kind === 'finish' ? one(running) : undefined;
        if (finisher) {
          done.add(finisher);
          finisher.place?.release();
        }
        const refused = kind === 'refuse' ? one(running) : undefined;
        if (refused?.place) {
          const { place } = refused;
          refused.place = undefined;
          place.release(true);
          place.endpoint.refusedFull();
          t.throttler.join(refused.ticket as CallTicket, true);
          t.group.changed();
        }
        const gone = kind === 'podGone' ? one(pods) : undefined;
        if (gone) {
          gone.gone();
          t.group.remove(gone);
          t.group.refresh();
          pods.splice(pods.indexOf(gone), 1);
        }
        const nowWaiting = all.filter((c) => !c.place && !c.error && !left.has(c));
        assert.equal(t.throttler.waiting, nowWaiting.length);
        assert.deepEqual([t.budget.calls, t.budget.bytes], [nowWaiting.length, nowWaiting.length * 10]);
        // Free places and waiting calls are never there together, but for what only the clock may try again.
        const free = pods.reduce((sum, pod) => sum + Math.max(0, pod.free), 0);
        assert.ok(free === 0 || nowWaiting.length === 0, `${free} free, ${nowWaiting.length} waiting`);
        for (const pod of pods) assert.ok(pod.inFlight <= 2 + probed, `${pod.inFlight} in one pod`);
      }
    }),
    { numRuns: 300 },
  );
});

test('a pod that comes, takes no call and goes does not begin the cold start again', () => {
  const { throttler, clock, addPod, group } = setUp({ pods: 0 });
  const caller = new TestCaller('a');
  const ticket = throttler.ticket(caller);
  throttler.join(ticket);
  for (let i = 0; i < 5; i++) {
    clock.advance(11_000);
    const pod = addPod(`broken-${i}`);
    // It took the call, refused the connection, and is gone.
    caller.place?.release();
    group.remove(pod);
    group.refresh();
    throttler.join(ticket, true);
  }
  assert.equal(caller.error, undefined);
  clock.advance(6_000);
  assert.equal((caller.error as ReasonError | undefined)?.code, 'cold-start-timeout');
});
