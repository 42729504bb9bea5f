import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { overdue, type Progress } from '../../../../common/relay/exchange/deadlines.ts';

const LIMITS = { connectMs: 100, headMs: 5_000, idleMs: 2_000, totalMs: 9_000 };
const START: Progress = {
  phase: 'connect',
  startedAt: 0,
  connectingSince: 0,
  activeAt: 0,
  awaitsContinue: false,
  awaitsCaller: false,
};

describe('the clocks of an exchange', () => {
  for (const [what, progress, now, expected] of [
    ['connecting, in time', {}, 99, undefined],
    ['connecting, too long', {}, 100, 'connect'],
    ['connecting again after a stale connection, in time', { connectingSince: 50 }, 149, undefined],
    ['connecting when the head was due', { connectingSince: 4_950 }, 5_000, 'connect'],
    ['waiting for the head, in time', { phase: 'head' }, 4_999, undefined],
    ['waiting for the head, too long', { phase: 'head' }, 5_000, 'head'],
    ['waiting for the head is not being idle', { phase: 'head', activeAt: 0 }, 3_000, undefined],
    ['a caller who does not send', { phase: 'head', awaitsCaller: true, activeAt: 500 }, 2_500, 'send'],
    ['a caller who sends', { phase: 'head', awaitsCaller: true, activeAt: 501 }, 2_500, undefined],
    [
      'a caller who sends slowly, head due',
      { phase: 'head', awaitsCaller: true, activeAt: 4_999 },
      5_000,
      'head',
    ],
    ['a 100 that may still come', { phase: 'head', awaitsContinue: true }, 999, undefined],
    ['a 100 that does not come', { phase: 'head', awaitsContinue: true }, 1_000, 'continue'],
    ['the answer moves', { phase: 'body', activeAt: 4_000 }, 5_999, undefined],
    ['the answer stands still', { phase: 'body', activeAt: 4_000 }, 6_000, 'body'],
    ['the answer moves for too long', { phase: 'body', activeAt: 8_999 }, 9_000, 'body'],
  ] as const)
    it(`${what}: ${expected ?? 'nothing'}`, () => {
      assert.equal(overdue({ ...START, ...progress }, LIMITS, now), expected);
    });

  it('an upstream may be silent for longer than a caller, or for ever', () => {
    const body: Progress = { ...START, phase: 'body', activeAt: 1_000 };
    const limits = { ...LIMITS, silenceMs: 5_000 };
    assert.equal(overdue(body, limits, 5_999), undefined);
    assert.equal(overdue(body, limits, 6_000), 'body');
    assert.equal(overdue({ ...body, awaitsCaller: true }, limits, 3_000), 'body');
    assert.equal(overdue(body, { connectMs: 0, headMs: 0, idleMs: 2_000, silenceMs: 0 }, 1e9), undefined);
  });

  it('do not run where the limit is 0 or missing', () => {
    const none = { connectMs: 0, headMs: 0, idleMs: 0 };
    for (const phase of ['connect', 'head', 'body'] as const)
      assert.equal(overdue({ ...START, phase, awaitsCaller: true }, none, 1e9), undefined);
  });
});
