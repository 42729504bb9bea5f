/** The pure rules of jobs: verdict, what a try was, fairness. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BodyStoreError } from '../../../common/queue/body.ts';
import { Admission } from '../../../sidecar/limits/admission.ts';
import { DEFAULT_POLICIES, retryPolicyOf } from '../../../common/call/policy.ts';
import { elementId } from '../../../common/queue/job.ts';
import {
  decodeAnswer,
  decodeHeld,
  encodeQuestion,
  type JobQuestion,
} from '../../../common/queue/question.ts';
import { Callbacks } from '../../../sidecar/jobs/callbacks.ts';
import { Fairness } from '../../../sidecar/limits/fairness.ts';
import { triedBy } from '../../../sidecar/jobs/outcome.ts';
import { isLastTry, verdict, type TryOutcome } from '../../../sidecar/jobs/verdict.ts';

const POLICY = retryPolicyOf(DEFAULT_POLICIES.async);
const answered = (status: number, retryAfterMs?: number): TryOutcome => ({
  kind: 'answered',
  status,
  retryAfterMs,
});

describe('verdict', () => {
  const cases: readonly [string, TryOutcome, number, object][] = [
    ['200', answered(200), 0, { kind: 'done' }],
    ['404 is final', answered(404), 0, { kind: 'done' }],
    ['501 is not listed', answered(501), 0, { kind: 'done' }],
    ['429 without Retry-After is final', answered(429), 0, { kind: 'done' }],
    ['202', answered(202), 2, { kind: 'wait-for-callback' }],
    ['called back', { kind: 'called-back' }, 0, { kind: 'done' }],
    ['500 first', answered(500), 0, { kind: 'retry', delayMs: 2_000, error: 'status 500' }],
    ['502 second', answered(502), 1, { kind: 'retry', delayMs: 4_000, error: 'status 502' }],
    ['503 third', answered(503), 2, { kind: 'retry', delayMs: 8_000, error: 'status 503' }],
    ['500 last', answered(500), 3, { kind: 'dead', error: 'status 500' }],
    ['timeout', { kind: 'timeout' }, 0, { kind: 'retry', delayMs: 2_000, error: 'no answer within 120 s' }],
    ['broken', { kind: 'broken', error: 'reset' }, 3, { kind: 'dead', error: 'reset' }],
    ['429 in 5 s', answered(429, 5_000), 0, { kind: 'retry', delayMs: 5_000, error: 'status 429' }],
    [
      '503 in 1 s: not sooner than the policy',
      answered(503, 1_000),
      0,
      { kind: 'retry', delayMs: 2_000, error: 'status 503' },
    ],
    [
      '503 in a day: in an hour',
      answered(503, 864e5),
      0,
      { kind: 'retry', delayMs: 36e5, error: 'status 503' },
    ],
    ['429 on the last try', answered(429, 5_000), 3, { kind: 'dead', error: 'status 429' }],
    ['200 with Retry-After', answered(200, 5_000), 0, { kind: 'done' }],
  ];
  for (const [name, outcome, tries, expected] of cases) {
    it(name, () => assert.deepEqual(verdict(outcome, tries, POLICY), expected));
  }

  it('jitter adds up to its part of the delay, never takes away', () => {
    const with_ = (random: number) =>
      verdict(answered(500), 0, POLICY, { jitter: 0.5, random: () => random }) as { delayMs: number };
    assert.equal(with_(0).delayMs, 2_000);
    assert.equal(with_(1).delayMs, 3_000);
  });

  it('the last try is the one after which nothing comes', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((tries) => isLastTry(tries, POLICY)),
      [false, false, false, true],
    );
    assert.equal(isLastTry(0, { ...POLICY, delaysMs: [] }), true);
  });
});

describe('callbacks of a job that is held', () => {
  it('one closes it; until it is let go it runs, and a second callback finds nothing open', async () => {
    const callbacks = new Callbacks();
    const ask = (question: JobQuestion): string | undefined => {
      const answer = callbacks.answer(encodeQuestion(question));
      return answer && decodeAnswer(answer);
    };
    const where = { kind: 'where', elementId: 'a' } as const;
    const success = { kind: 'callback', elementId: 'a', outcome: 'success' } as const;
    const release = callbacks.hold('a');
    assert.deepEqual([ask(where), ask(success)], ['running', 'running'], 'it has not answered 202 yet');
    const outcome = callbacks.open('a', 60_000);
    assert.deepEqual([ask(where), ask(success)], ['waiting-for-callback', 'closed']);
    assert.equal(await outcome, 'success');
    assert.deepEqual([ask(where), ask(success)], ['running', undefined]);
    release();
    assert.deepEqual([ask(where), ask(success)], [undefined, undefined]);
    callbacks.hold('a');
    assert.equal(ask(success), 'running', 'a next try begins again');
  });

  it('asked itself it says that it does not hold a job; else it keeps silent', () => {
    const callbacks = new Callbacks('fn-1');
    const ask = (pod?: string): string | undefined => {
      const where = { kind: 'where', elementId: 'a', ...(pod === undefined ? {} : { pod }) } as const;
      const answer = callbacks.answer(encodeQuestion(where));
      return answer && decodeAnswer(answer);
    };
    assert.deepEqual([ask(), ask('fn-1'), ask('fn-2')], [undefined, 'not-held', undefined]);
    callbacks.hold('a');
    assert.deepEqual([ask(), ask('fn-1'), ask('fn-2')], ['running', 'running', 'running']);
  });

  it('it says up to which job it holds any, and nothing while it holds none', () => {
    const callbacks = new Callbacks();
    const heldUpTo = (): number | undefined => {
      const answer = callbacks.answer(encodeQuestion({ kind: 'held' }));
      return answer && decodeHeld(answer);
    };
    assert.equal(heldUpTo(), undefined);
    const secret = 'ab'.repeat(16);
    callbacks.hold(elementId(secret, 7));
    const release = callbacks.hold(elementId(secret, 300));
    callbacks.hold(elementId(secret, 12));
    assert.equal(heldUpTo(), 300);
    release();
    assert.equal(heldUpTo(), 12);
  });
});

describe('what was a try', () => {
  const failed = (sentBytes: number, error: Error, callerFailed = false) =>
    triedBy(
      { kind: 'failed', phase: 'send', error, sentBytes, headForwarded: false, callerFailed },
      undefined,
      0,
    );
  const reset = new Error('reset');

  it('what the function has not seen is none', () => {
    assert.equal(failed(0, reset).kind, 'none');
    const connect = { kind: 'timeout', phase: 'connect', sentBytes: 0, headForwarded: false } as const;
    assert.equal(triedBy(connect, undefined, 0).kind, 'none');
    assert.equal(triedBy({ kind: 'cancelled', headForwarded: false }, undefined, 0).kind, 'none');
  });

  it('what broke under it is one', () => {
    assert.deepEqual(failed(10, reset), { kind: 'broken', error: 'reset' });
    const head = { kind: 'timeout', phase: 'head', sentBytes: 10, headForwarded: false } as const;
    assert.deepEqual(triedBy(head, undefined, 0), { kind: 'timeout' });
  });

  it('a store that does not answer is ours; a body that is gone is the job’s end', () => {
    assert.equal(failed(10, new Error('NATS is away'), true).kind, 'none');
    const gone = new Error('reading', { cause: new BodyStoreError('incomplete', '0 of 5 bytes') });
    assert.deepEqual(failed(0, gone, true), { kind: 'broken', error: 'reading: 0 of 5 bytes' });
  });

  it('Retry-After is read from the answer, as seconds or as a date', () => {
    const answer = (value: string) => ({
      head: { status: 503, statusText: '', headers: ['retry-after', value] },
      body: Buffer.alloc(0),
      trailers: [],
      isTruncated: false,
    });
    const outcome = { kind: 'answered', status: 503 } as const;
    const now = Date.parse('2026-01-01T00:00:00Z');
    for (const value of ['7', 'Thu, 01 Jan 2026 00:00:07 GMT'])
      assert.deepEqual(triedBy(outcome, answer(value), now), { ...outcome, retryAfterMs: 7_000 });
  });
});

describe('admission', () => {
  it('turns calls away from the places that waiting jobs are to have, and counts both kinds', () => {
    const admission = new Admission({ limit: 4, queueLimit: 0, queueTimeoutMs: 0 });
    admission.open();
    admission.fairness.areJobsWaiting = true;
    const entered = [1, 2, 3].map(() => admission.tryEnter());
    assert.deepEqual(
      entered.map((place) => typeof place),
      ['object', 'object', 'string'],
    );
    assert.equal(entered[2], 'full');
    assert.equal(admission.jobRoom, 2, 'a call was refused, so jobs have their share and no more');
    const job = admission.tryEnterJob();
    assert.deepEqual([admission.jobs, admission.jobRoom, admission.load], [1, 1, '3/4']);
    job?.release();
    job?.release();
    assert.deepEqual([admission.jobs, admission.load], [0, '2/4']);
    admission.beginDrain();
    assert.equal(admission.jobRoom, 0);
  });
});

describe('fairness', () => {
  const at = { now: 0 };
  const make = (share = 0.5): Fairness => {
    at.now = 0;
    return new Fairness(share, () => at.now);
  };

  it('one kind alone may have every place', () => {
    const fairness = make();
    assert.equal(fairness.jobRoom({ calls: 0, jobs: 0, limit: 4 }), 4);
    assert.equal(fairness.mayCallEnter({ calls: 3, jobs: 0, limit: 4 }), true);
    assert.equal(fairness.mayCallEnter({ calls: 4, jobs: 0, limit: 4 }), false);
  });

  it('while calls wait, jobs may have their share of the places', () => {
    const fairness = make();
    fairness.callRefused();
    assert.equal(fairness.jobRoom({ calls: 0, jobs: 0, limit: 4 }), 2);
    assert.equal(fairness.jobRoom({ calls: 1, jobs: 2, limit: 4 }), 0);
    at.now = 1_000;
    assert.equal(fairness.jobRoom({ calls: 1, jobs: 2, limit: 4 }), 1, 'nobody has asked for a second');
  });

  it('while jobs wait, calls leave them theirs', () => {
    const fairness = make(0.25);
    fairness.areJobsWaiting = true;
    assert.equal(fairness.mayCallEnter({ calls: 2, jobs: 0, limit: 4 }), true);
    assert.equal(fairness.mayCallEnter({ calls: 3, jobs: 0, limit: 4 }), false);
  });

  it('with one place they take turns', () => {
    const fairness = make();
    fairness.areJobsWaiting = true;
    fairness.callRefused();
    const free = { calls: 0, jobs: 0, limit: 1 };
    fairness.served('job');
    assert.deepEqual([fairness.mayCallEnter(free), fairness.jobRoom(free)], [true, 0]);
    fairness.served('call');
    assert.deepEqual([fairness.mayCallEnter(free), fairness.jobRoom(free)], [false, 1]);
  });

  it('a share of 0 or 1 still leaves one place to each', () => {
    for (const [share, jobs] of [
      [0, 1],
      [1, 3],
    ] as const) {
      const fairness = make(share);
      fairness.callRefused();
      assert.equal(fairness.jobRoom({ calls: 0, jobs: 0, limit: 4 }), jobs);
    }
    assert.throws(() => new Fairness(1.5), RangeError);
  });

  it('whatever happens: never more than the limit, and a free place is open to one of them', () => {
    const input = fc.record({
      limit: fc.integer({ min: 1, max: 20 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      calls: fc.nat(20),
      jobs: fc.nat(20),
      last: fc.constantFrom('call' as const, 'job' as const),
    });
    fc.assert(
      fc.property(input, ({ limit, share, calls, jobs, last }) => {
        const fairness = make(share);
        fairness.areJobsWaiting = true;
        fairness.callRefused();
        fairness.served(last);
        const running = { calls, jobs, limit };
        const room = fairness.jobRoom(running);
        const mayEnter = fairness.mayCallEnter(running);
        if (calls + jobs >= limit) return room === 0 && !mayEnter;
        return calls + jobs + room <= limit && (mayEnter || room > 0);
      }),
    );
  });
});
