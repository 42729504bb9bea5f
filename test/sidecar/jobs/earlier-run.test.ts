/** Whose hands a job is in that came again: what the others' answers mean, and their silence. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeAnswer, encodeHeld } from '../../../common/queue/question.ts';
import type { JobState } from '../../../common/queue/state.ts';
import { EarlierRuns } from '../../../sidecar/jobs/earlier-run.ts';

interface Others {
  readonly answers?: readonly Uint8Array[];
  /** Before the question, and after it. */
  readonly backInMs?: [number, number];
}

function asker({ answers = [], backInMs = [0, 0] }: Others): EarlierRuns {
  let asked = 0;
  return new EarlierRuns({
    id: { namespace: 'ns', name: 'fn' },
    nats: {
      get othersBackInMs() {
        return backInMs[Math.min(asked, 1)] as number;
      },
      request: async () => answers[asked++],
      requestAll: async () => [...answers],
    },
    self: { pod: 'fn-1', host: '127.0.0.1', port: 9 },
    isOrdered: false,
    httpTimeoutMs: 1_000,
    now: Date.now,
  });
}

const JUNK = Buffer.from('[1]');

describe('who has a job', () => {
  const cases: readonly [string, Others, string][] = [
    ['one runs it', { answers: [encodeAnswer('running')] }, 'held'],
    ['it waits for a callback', { answers: [encodeAnswer('waiting-for-callback')] }, 'held'],
    ['silence, and all are back', {}, 'nowhere'],
    ['an answer that nobody can read is silence', { answers: [JUNK] }, 'nowhere'],
    ['silence while others may be on their way back', { backInMs: [900, 600] }, 'unclear'],
    ['they were on their way when they were asked', { backInMs: [200, 0] }, 'unclear'],
    ['the link went down under the question', { backInMs: [0, 2_000] }, 'unclear'],
    ['an answer counts at any time', { answers: [encodeAnswer('running')], backInMs: [900, 600] }, 'held'],
  ];
  for (const [name, others, where] of cases)
    it(name, async () => assert.equal(await asker(others).whereIs('a', undefined), where));

  it('an unclear job is asked about again when all are back', () => {
    assert.equal(asker({ backInMs: [700, 700] }).askAgainInMs, 700);
    assert.equal(asker({}).askAgainInMs, 1_000, 'a frozen sidecar of a function in strict order');
  });

  it('what has ended is in nobody’s hands; what may be held is asked about', () => {
    const base = { secret: 'ab', acceptedAtMs: 1, tries: [] };
    const states: JobState[] = [
      { ...base, state: 'done', result: undefined },
      { ...base, state: 'dead', why: 'x' },
      { ...base, state: 'cancelled' },
    ];
    for (const state of states) assert.equal(asker({}).mustAsk(state, true), false, state.state);
    assert.equal(asker({}).mustAsk(undefined, true), true);
    assert.equal(asker({}).mustAsk({ ...base, state: 'retrying', nextTryAtMs: 1 }, true), true);
    assert.equal(asker({}).mustAsk(undefined, false), false);
  });
});

describe('up to which job the pods hold any', () => {
  it('the highest counts; what nobody can read does not', async () => {
    assert.equal(await asker({ answers: [encodeHeld(7), JUNK, encodeHeld(12)] }).heldUpTo(), 12);
    assert.equal(await asker({}).heldUpTo(), 0);
  });

  it('nobody can tell while others may be on their way back', async () => {
    assert.equal(await asker({ answers: [encodeHeld(7)], backInMs: [500, 500] }).heldUpTo(), Infinity);
  });
});
