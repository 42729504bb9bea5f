/** What travels beside a job: the delivery's reply subject, questions and answers, a dead letter's history. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageError } from '../../../common/runtime/errors.ts';
import type { DeadHistory } from '../../../common/queue/dead.ts';
import { deadHeaders, readDeadHistory } from '../../../common/queue/jetstream/dead-letter.ts';
import { deliveryOf, parseAckSubject } from '../../../common/queue/jetstream/delivery.ts';
import {
  decodeAnswer,
  decodeHeld,
  decodeQuestion,
  encodeAnswer,
  encodeHeld,
  encodeQuestion,
} from '../../../common/queue/question.ts';
import type { Msg } from '../../../common/bus/nats.ts';
import type { StoredMsg } from '../../../common/queue/jetstream/library.ts';

test('the reply subject says which job, which delivery, and how many are to come; both forms', () => {
  const expected = { deliveries: 3, seq: 77, pending: 5, order: 12, storedAtMs: 1_700_000_000_000 };
  assert.deepEqual(parseAckSubject('$JS.ACK.SLIMFAAS_JOBS.ns__fn.3.77.12.1700000000000000000.5'), expected);
  const long = '$JS.ACK.hub.accHash.SLIMFAAS_JOBS.ns__fn.3.77.12.1700000000000000000.5.rnd';
  assert.deepEqual(parseAckSubject(long), expected);
});

test('any other subject is a MessageError', () => {
  const bad = ['', 'x', '$JS.ACK', '$JS.ACK.s.c.a.b.c.d.e', '$JS.ACK.s.c.1.2.3.4', '$XX.ACK.s.c.1.2.3.4.5'];
  for (const subject of bad) assert.throws(() => parseAckSubject(subject), MessageError, subject);
  fc.assert(
    fc.property(fc.string(), (subject) => {
      assert.throws(() => parseAckSubject(subject), MessageError);
    }),
  );
});

test('a delivery answers in the words of JetStream, and survives a connection that is closed', () => {
  const said: string[] = [];
  const message = (respond: (data: Uint8Array) => boolean) =>
    deliveryOf({
      reply: '$JS.ACK.s.c.1.2.3.4.5',
      data: new Uint8Array(),
      respond,
    } as unknown as Msg);
  const delivery = message((data) => said.push(Buffer.from(data).toString()) > 0);
  delivery.finish();
  delivery.retryLater(0);
  delivery.retryLater(1_500.2);
  delivery.working();
  assert.deepEqual(said, ['+ACK', '-NAK', '-NAK {"delay":1501000000}', '+WPI']);
  assert.equal(delivery.isVoid, false);
  message(() => {
    throw new Error('CONNECTION_CLOSED');
  }).finish();
});

test('questions and answers come back as they went; nonsense is a MessageError', () => {
  for (const question of [
    { kind: 'where', elementId: 'abc' },
    { kind: 'held' },
    { kind: 'callback', elementId: 'abc', outcome: 'error' },
  ] as const)
    assert.deepEqual(decodeQuestion(encodeQuestion(question)), question);
  for (const answer of ['running', 'waiting-for-callback', 'closed', 'not-held'] as const)
    assert.equal(decodeAnswer(encodeAnswer(answer)), answer);
  const bad = [
    '',
    'null',
    '{}',
    '{"kind":"where"}',
    '{"kind":"callback","elementId":"a","outcome":"x"}',
    '[1]',
  ];
  for (const text of bad) assert.throws(() => decodeQuestion(Buffer.from(text)), MessageError, text);
  assert.throws(() => decodeAnswer(Buffer.from('done')), MessageError);
  for (const sequence of [0, 1, 123_456_789_012]) assert.equal(decodeHeld(encodeHeld(sequence)), sequence);
  for (const text of ['', '-1', '1e9', 'x', '9'.repeat(16), '1'.repeat(1e6)])
    assert.throws(() => decodeHeld(Buffer.from(text)), MessageError, text.slice(0, 20));
});

test('a dead letter’s history comes back whole, whatever the words in it', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), (why, sequence) => {
      const tries = [{ startedAtMs: 1, endedAtMs: 2, pod: 'p', status: 500, error: why }];
      const history: DeadHistory = { sequence, tries, why };
      const header = deadHeaders(history);
      assert.deepEqual(readDeadHistory({ header } as unknown as StoredMsg), history);
    }),
  );
  const lacking = deadHeaders({ sequence: 1, tries: [] } as unknown as DeadHistory);
  assert.throws(() => readDeadHistory({ header: lacking } as unknown as StoredMsg), /lacks/);
  const none = { header: { get: () => '' } } as unknown as StoredMsg;
  assert.throws(() => readDeadHistory(none), MessageError);
});
