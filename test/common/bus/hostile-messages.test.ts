/** Messages from NATS as somebody hostile would write them: refused, or read without what does not belong there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageError } from '../../../common/runtime/errors.ts';
import { decodeCallback } from '../../../common/queue/callback.ts';
import { decodeJob, encodeJob, type JobHead } from '../../../common/queue/job.ts';
import { decodeQuestion } from '../../../common/queue/question.ts';
import { decodeState } from '../../../common/queue/state.ts';

const good: JobHead = {
  secret: 'ab'.repeat(16),
  method: 'POST',
  path: '/a?b',
  headers: ['X-A', 'b'],
  acceptedAtMs: 1,
};
const NONE = Buffer.alloc(0);

test('what would become another request, or another frame, is refused with the field’s name', () => {
  const cases: [object, RegExp][] = [
    [{ method: 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET' }, /method/],
    [{ method: '' }, /method/],
    [{ method: 'M'.repeat(65) }, /method/],
    [{ path: '/a b' }, /path/],
    [{ path: '/a\r\nX: y' }, /path/],
    [{ path: 'http://elsewhere/' }, /path/],
    [{ path: '/\u{1F600}' }, /path/],
    [{ headers: ['X-A', 'b\r\nX-Injected: 1'] }, /headers.*X-A/],
    [{ headers: ['X A', 'b'] }, /headers/],
    [{ headers: ['X-A'] }, /headers/],
    [{ headers: ['X-A', 'b', ''] }, /headers/],
    [{ headers: ['X-A', 'b\0'] }, /headers/],
    [{ headers: ['X-A', '\u{2028}'] }, /headers/],
    [{ headers: ['X-A', 1] }, /headers/],
    [{ headers: { length: 0 } }, /headers/],
    [{ headers: Array.from({ length: 10_000 }, () => 'a') }, /headers/],
    ...['Content-Length', 'transfer-encoding', 'CONNECTION', 'Upgrade', 'Trailer', 'Expect'].map(
      (name): [object, RegExp] => [{ headers: [name, '1'] }, /end-to-end/],
    ),
    [{ secret: '../../x' }, /secret/],
    [{ acceptedAtMs: 1e300 }, /acceptedAtMs/],
    [{ acceptedAtMs: -1 }, /acceptedAtMs/],
    [{ object: { name: '>', size: 1 } }, /object/],
    [{ object: { name: 'a.b', size: 1 } }, /object/],
    [{ object: { name: 'a', size: -1 } }, /object/],
    [{ object: null }, /object/],
    [{ event: 1 }, /event/],
    [{ callbackUrl: [] }, /callbackUrl/],
    [{ replayOf: {} }, /replayOf/],
  ];
  for (const [change, why] of cases)
    assert.throws(
      () => decodeJob(encodeJob({ ...good, ...change } as JobHead, NONE)),
      (error: unknown) => error instanceof MessageError && why.test(error.message),
      JSON.stringify(change).slice(0, 100),
    );
  assert.deepEqual(decodeJob(encodeJob(good, NONE)).head, good);
});

test('a state is read field by field: nothing unknown passes to a caller, and no time is beyond a date', () => {
  const base = { secret: 'a', acceptedAtMs: 1, tries: [] };
  const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const read = (value: unknown): unknown =>
    decodeState(Buffer.from(JSON.stringify(value).replaceAll('"DEEP"', nested)));
  const deep = 'DEEP';
  const result = { status: 200, headers: [], body: '', bodyTruncated: false };
  assert.deepEqual(read({ ...base, state: 'done', result: { ...result, deep }, deep }), {
    ...base,
    state: 'done',
    result,
  });
  const tried = { startedAtMs: 1, endedAtMs: 2, pod: 'p' };
  assert.deepEqual(read({ ...base, tries: [{ ...tried, deep }], state: 'cancelled' }), {
    ...base,
    tries: [tried],
    state: 'cancelled',
  });
  for (const bad of [
    { ...base, acceptedAtMs: 1e20, state: 'cancelled' },
    { ...base, state: 'retrying', nextTryAtMs: 1e20 },
    { ...base, state: 'waiting-for-callback' },
    { ...base, state: 'dead' },
    { ...base, state: 'done', result: { status: 200 } },
    { ...base, state: 'running', run: { pod: 'p' } },
    { ...base, tries: [null], state: 'cancelled' },
    { ...base, tries: [{ startedAtMs: -1e20, endedAtMs: 2, pod: 'p' }], state: 'cancelled' },
  ])
    assert.throws(() => read(bad), MessageError, JSON.stringify(bad));
});

test('any JSON is read, or refused as a message: no other error', () => {
  fc.assert(
    fc.property(fc.json(), fc.jsonValue(), (text, value) => {
      for (const data of [Buffer.from(text), Buffer.from(JSON.stringify(value))])
        for (const read of [decodeState, decodeCallback, decodeQuestion, decodeJob]) {
          try {
            read(data);
          } catch (error) {
            assert.ok(error instanceof MessageError, String(error));
          }
        }
    }),
  );
});
