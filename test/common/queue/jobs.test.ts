/** A job's wire form and its identity. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageError } from '../../../common/runtime/errors.ts';
import { decodeJob, elementId, encodeJob, parseElementId, type JobHead } from '../../../common/queue/job.ts';
import { decodeState, encodeState, type JobState } from '../../../common/queue/state.ts';
import { resultSubject } from '../../../common/bus/subjects.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';

const head: JobHead = {
  secret: 'ab'.repeat(16),
  method: 'POST',
  path: '/a%20b?q=1&q=2',
  headers: ['X-Odd', 'caf\u00e9', 'x-odd', 'twice', 'Cookie', 'a=1; b=2'],
  acceptedAtMs: 1,
};

test('any method, path, headers and body come back byte for byte', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/),
      fc.stringMatching(/^\/[!-~\x80-\xff]*$/),
      // Names that nobody frames by, and values of every byte that a line may have.
      fc.array(
        fc.tuple(fc.stringMatching(/^X-[!#$%&'*+.^_`|~\w-]*$/), fc.stringMatching(/^[\t -~\x80-\xff]*$/)),
      ),
      fc.uint8Array(),
      (method, path, pairs, body) => {
        const headers = pairs.flat();
        const job = decodeJob(encodeJob({ ...head, method, path, headers }, body));
        assert.deepEqual(job.head, { ...head, method, path, headers });
        assert.deepEqual(new Uint8Array(job.body), body);
      },
    ),
  );
});

test('a payload that is cut off, is no JSON or lacks a field is a MessageError', () => {
  const whole = encodeJob(head, Buffer.from('abc'));
  for (let length = 0; length < whole.length - 3; length++) {
    assert.throws(() => decodeJob(whole.subarray(0, length)), MessageError, `${length} bytes`);
  }
  const { secret: _, ...incomplete } = head;
  assert.throws(() => decodeJob(encodeJob(incomplete as JobHead, Buffer.alloc(0))), /secret is missing/);
});

test('random bytes are a MessageError or a job', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (data) => {
      try {
        decodeJob(data);
      } catch (error) {
        assert.ok(error instanceof MessageError);
      }
    }),
  );
});

test('an element id carries secret and sequence, and nothing else parses as one', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.integer({ min: 1, max: 2 ** 48 }),
      (bytes, sequence) => {
        const secret = Buffer.from(bytes).toString('hex');
        assert.deepEqual(parseElementId(elementId(secret, sequence)), { secret, sequence });
      },
    ),
  );
  for (const id of [
    '',
    'x',
    'ab'.repeat(16),
    `${'ab'.repeat(16)}0`,
    `${'AB'.repeat(16)}1`,
    `${'ab'.repeat(16)}1/../2`,
  ]) {
    assert.equal(parseElementId(id), undefined, id);
  }
});

test('a state survives the round trip; anything else is refused', () => {
  const state: JobState = {
    state: 'retrying',
    secret: head.secret,
    acceptedAtMs: 1,
    tries: [{ startedAtMs: 1, endedAtMs: 2, pod: 'p', status: 500, error: 'status 500' }],
    nextTryAtMs: 2002,
  };
  assert.deepEqual(decodeState(encodeState(state)), state);
  for (const bad of ['{', '1', '{}', '{"secret":"a","tries":[],"state":"gone"}']) {
    assert.throws(() => decodeState(new TextEncoder().encode(bad)), MessageError, bad);
  }
});

test('subject and consumer of a function whose name has a dot', () => {
  const id = { namespace: 'shop', name: 'cart.v2' };
  assert.equal(resultSubject(id, 7), 'slimfaas.result.shop.cart%2Ev2.7');
  assert.equal(consumerName(id), 'shop__cart_2Ev2');
});
