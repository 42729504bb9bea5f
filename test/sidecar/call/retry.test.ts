import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../../common/runtime/errors.ts';
import { DEFAULT_POLICIES, retryPolicyOf, type RetryPolicy } from '../../../common/call/policy.ts';
import { parseCallPolicy } from '../../../sidecar/call/call-policy.ts';
import {
  delayAfterReaching,
  delayAfterStatus,
  delayAfterUnreached,
  mayRepeat,
  parseRetryAfter,
  type TryFacts,
} from '../../../sidecar/call/retry.ts';

const policy = retryPolicyOf(DEFAULT_POLICIES.sync);
const setByUser: RetryPolicy = { ...policy, retriesSetByUser: true };

function facts(changes: Partial<TryFacts> = {}): TryFacts {
  return {
    method: 'GET',
    hasIdempotencyKey: false,
    canReplay: true,
    retries: 0,
    drainLeftMs: undefined,
    ...changes,
  };
}

describe('retry: which calls the function may see twice', () => {
  const table: [method: string, key: boolean, byUser: boolean, expected: boolean][] = [
    ['GET', false, false, true],
    ['HEAD', false, false, true],
    ['OPTIONS', false, false, true],
    ['PUT', false, false, true],
    ['DELETE', false, false, true],
    ['POST', false, false, false],
    ['PATCH', false, false, false],
    ['PROPFIND', false, false, false],
    ['POST', true, false, true],
    ['PATCH', false, true, true],
  ];
  for (const [method, key, byUser, expected] of table) {
    it(`${method}, key ${key}, retries set by the user ${byUser}: ${expected}`, () => {
      assert.equal(mayRepeat(byUser ? setByUser : policy, method, key), expected);
    });
  }
});

describe('retry: after an answer', () => {
  it('waits 2, 4 and 8 s after 502 and 503, and then forwards what comes', () => {
    for (const status of [502, 503]) {
      const delays = [0, 1, 2, 3].map((retries) =>
        delayAfterStatus(policy, facts({ retries }), status, undefined),
      );
      assert.deepEqual(delays, [2_000, 4_000, 8_000, undefined]);
    }
  });

  it('forwards every other status', () => {
    for (const status of [200, 302, 404, 429, 500, 501, 504]) {
      assert.equal(delayAfterStatus(policy, facts(), status, undefined), undefined);
    }
  });

  it('forwards a POST’s 503 unless somebody said that twice is fine', () => {
    const post = facts({ method: 'POST' });
    assert.equal(delayAfterStatus(policy, post, 503, undefined), undefined);
    assert.equal(delayAfterStatus(setByUser, post, 503, undefined), 2_000);
    assert.equal(delayAfterStatus(policy, { ...post, hasIdempotencyKey: true }, 503, undefined), 2_000);
  });

  it('forwards when the body cannot be given again', () => {
    assert.equal(
      delayAfterStatus(policy, facts({ method: 'PUT', canReplay: false }), 503, undefined),
      undefined,
    );
  });

  it('heeds Retry-After up to 30 s, whichever delay is longer, and leaves a longer one to the caller', () => {
    assert.deepEqual(
      [1_000, 5_000, 30_000, 31_000].map((ms) => delayAfterStatus(policy, facts(), 503, ms)),
      [2_000, 5_000, 30_000, undefined],
    );
  });

  it('does not begin a try that the drain would cut short', () => {
    const left = (drainLeftMs: number) => delayAfterStatus(policy, facts({ drainLeftMs }), 503, undefined);
    assert.deepEqual([left(2_001), left(2_000), left(0)], [2_000, undefined, undefined]);
    assert.equal(delayAfterStatus(policy, facts({ drainLeftMs: 3_000 }), 503, 4_000), undefined);
  });

  it('reads Retry-After as seconds or as a date', () => {
    const now = Date.parse('2026-11-23T10:00:00Z');
    assert.equal(parseRetryAfter('3', now), 3_000);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2026 10:00:05 GMT', now), 5_000);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2026 09:00:00 GMT', now), 0);
    assert.equal(parseRetryAfter('soon', now), undefined);
    assert.equal(parseRetryAfter(undefined, now), undefined);
  });
});

describe('retry: after a broken connection', () => {
  it('repeats what may be repeated, with the policy’s delays', () => {
    assert.equal(delayAfterReaching(policy, facts({ retries: 1 })), 4_000);
    assert.equal(delayAfterReaching(policy, facts({ method: 'POST' })), undefined);
    assert.equal(delayAfterReaching(policy, facts({ canReplay: false })), undefined);
  });

  it('tries again soon and often where the app was not reached, whatever the method', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((n) =>
      delayAfterUnreached(policy, facts({ method: 'POST' }), n, 0),
    );
    assert.deepEqual(delays, [25, 50, 100, 200, 400, 500, 500]);
  });

  it('gives up when the sum of the delays has passed, and at once where the user wants no retries', () => {
    assert.equal(delayAfterUnreached(policy, facts(), 40, 13_500), 500);
    assert.equal(delayAfterUnreached(policy, facts(), 40, 13_501), undefined);
    assert.equal(delayAfterUnreached({ ...policy, delaysMs: [] }, facts(), 1, 0), undefined);
  });

  it('never decides on a delay that the drain or the budget does not hold (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 20_000 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.nat({ max: 60_000 }),
        fc.option(fc.nat({ max: 30_000 }), { nil: undefined }),
        (delaysMs, failures, sinceMs, drainLeftMs) => {
          const delay = delayAfterUnreached(
            { ...policy, delaysMs },
            facts({ drainLeftMs }),
            failures,
            sinceMs,
          );
          if (delay === undefined) return;
          const budget = delaysMs.reduce((a, b) => a + b, 0);
          assert.ok(delay >= 25 && delay <= 500 && sinceMs + delay <= budget);
          assert.ok(drainLeftMs === undefined || delay < drainLeftMs);
        },
      ),
    );
  });
});

describe('retry: the policy from the environment', () => {
  const text = JSON.stringify({
    httpTimeoutSeconds: 1.5,
    timeoutRetriesSeconds: [1, 2],
    httpStatusRetries: [500],
    retriesSetByUser: true,
  });

  it('is read into milliseconds', () => {
    assert.deepEqual(parseCallPolicy('sync-policy', text, DEFAULT_POLICIES.sync), {
      httpTimeoutMs: 1_500,
      delaysMs: [1_000, 2_000],
      retryStatuses: new Set([500]),
      retriesSetByUser: true,
    });
  });

  it('is the default when absent', () => {
    assert.deepEqual(parseCallPolicy('sync-policy', '', DEFAULT_POLICIES.sync), policy);
  });

  it('is refused, with the variable’s name, when it cannot be read', () => {
    for (const bad of ['{', '[]', '1', '{"httpTimeoutSeconds":0}', text.replace('[500]', '["500"]')]) {
      assert.throws(
        () => parseCallPolicy('sync-policy', bad, DEFAULT_POLICIES.sync),
        (error: unknown) => error instanceof UsageError && error.message.startsWith('SLIMFAAS_SYNC_POLICY: '),
      );
    }
  });
});
