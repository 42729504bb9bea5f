/** What no call needs begins after the calls that the pod was woken for, and at once where there are none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallsFirst } from '../../../sidecar/life/calls-first.ts';
import type { Told } from '../../../sidecar/life/ready-by-http.ts';
import { InFlight } from '../../../sidecar/limits/in-flight.ts';

/** Pauses end when the test says so, by their lengths. */
class Pauses {
  readonly #open: { readonly ms: number; readonly end: () => void }[] = [];

  readonly pause = (ms: number): Promise<void> =>
    new Promise((resolve) => this.#open.push({ ms, end: resolve }));

  get lengths(): number[] {
    return this.#open.map(({ ms }) => ms);
  }

  /** The one of that length; what follows from it has happened when this resolves. */
  async end(ms: number): Promise<void> {
    const at = this.lengths.indexOf(ms);
    assert.ok(at >= 0, `no pause of ${ms} ms; there are ${this.lengths.join(', ')}`);
    this.#open.splice(at, 1)[0]?.end();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const [ASK, NO_WORD, AFTER_ANSWERS, LIMIT] = [10, 150, 10, 500] as const;

function world(callers: number | undefined | 'silent') {
  const pauses = new Pauses();
  const inFlight = new InFlight();
  const state = { asked: 0, isOver: false };
  const first = new CallsFirst({
    inFlight,
    pause: pauses.pause,
    ask(): Promise<Told> {
      state.asked += 1;
      return callers === 'silent'
        ? new Promise(() => undefined)
        : Promise.resolve({ isTaken: true, callers });
    },
  });
  void first.over.then(() => (state.isOver = true));
  return { pauses, inFlight, state, first };
}

test('no caller waits: the rest begins as soon as a proxy has said so', async () => {
  const { pauses, state } = world(0);
  await pauses.end(ASK);
  assert.deepEqual(state, { asked: 1, isOver: true });
});

test('callers wait: the rest begins when all that run have been answered', async () => {
  const { pauses, inFlight, state } = world(2);
  const [endOne, endOther] = [inFlight.begin(), inFlight.begin()];
  await pauses.end(ASK);
  endOne();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([state.isOver, pauses.lengths], [false, [LIMIT, NO_WORD]]);
  endOther();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(state.isOver, false);
  await pauses.end(AFTER_ANSWERS);
  assert.equal(state.isOver, true);
});

test('callers wait for an app that is slow: the rest begins without them', async () => {
  const { pauses, state } = world(1);
  await pauses.end(ASK);
  await pauses.end(NO_WORD);
  assert.equal(state.isOver, false);
  await pauses.end(LIMIT);
  assert.equal(state.isOver, true);
});

test('no proxy says anything: the rest begins, unless a call is here', async () => {
  const silent = world('silent');
  await silent.pauses.end(ASK);
  assert.equal(silent.state.isOver, false);
  await silent.pauses.end(NO_WORD);
  assert.equal(silent.state.isOver, true);
  const older = world(undefined);
  older.inFlight.begin();
  await older.pauses.end(ASK);
  assert.equal(older.state.isOver, false);
});

test('the pod ends while callers wait: what it has to say goes out', async () => {
  const { pauses, state, first } = world(1);
  await pauses.end(ASK);
  assert.equal(state.isOver, false);
  first.end();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(state.isOver, true);
});

test('an app that is ready at once: the answer to the pod’s ready counts, and nothing is asked', async () => {
  const { pauses, state, first } = world('silent');
  first.telling(Promise.resolve({ isTaken: true, callers: 0 }));
  await pauses.end(ASK);
  assert.deepEqual(state, { asked: 0, isOver: true });
});
