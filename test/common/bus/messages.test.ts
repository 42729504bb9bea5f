/** Messages: what is written can be read; what is malformed is refused by the field's name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageError } from '../../../common/runtime/errors.ts';
import {
  decodeActivity,
  decodePosted,
  decodeReady,
  decodeShare,
  decodeWake,
  encodeMessage,
  troubleText,
} from '../../../common/bus/messages.ts';

const activity = {
  source: 'sidecar',
  pod: 'cart-1',
  running: 1.5,
  runningNow: 2,
  waiting: 0,
  started: 3,
  finished: 1,
  failed: 0,
  windowMs: 1000,
} as const;
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const BAD_DURATIONS: readonly unknown[] = [
  [1],
  '12',
  Array.from({ length: 162 }, () => 1),
  [80, 1],
  [1, -1],
  [1, 0.5],
];

test('counts of calls that cannot be read are left out, and the rest of the message counts', () => {
  const durations = BAD_DURATIONS.map((each) => ({ ended: 1, failed: 0, durations: each }));
  const good = { ended: 1, failed: 0, durations: [] };
  const numbers = [{ ended: -1 }, { failed: '1' }, { ended: null }].map((each) => ({ ...good, ...each }));
  for (const calls of [7, null, [], 'all', {}, ...durations, ...numbers])
    assert.deepEqual(decodeActivity(bytes({ ...activity, calls })), activity, JSON.stringify(calls));
});

test('each message survives the round trip, unknown fields aside', () => {
  assert.deepEqual(decodeWake(encodeMessage({ from: 'proxy-1', waiting: 4 })), {
    from: 'proxy-1',
    waiting: 4,
  });
  assert.deepEqual(decodeActivity(bytes({ ...activity, later: true })), activity);
  const calls = { ended: 3, failed: 1, durations: [0, 1, 79, 2] };
  const told = { ...activity, limit: 5, jobs: 2, direct: 3, directOpened: 1, calls };
  assert.deepEqual(decodeActivity(encodeMessage(told)), told);
  const ready = { pod: 'p', ip: '127.16.1.1', port: 15080, state: 'draining' } as const;
  assert.deepEqual(decodeReady(encodeMessage(ready)), ready);
  const numbered = { ...ready, start: 1_700_000_000_000, seq: 3 };
  assert.deepEqual(decodeReady(encodeMessage(numbered)), numbered);
  assert.equal(decodeActivity(encodeMessage({ ...activity, start: 7 })).start, 7);
  const share = { limit: 10, shares: { a: 5, b: 5 } };
  assert.deepEqual(decodeShare(encodeMessage(share)), share);
});

test('what an app’s trouble says is short and visible, whoever wrote it', () => {
  assert.equal(troubleText('caf\u00e9\r\nX: y'), 'caf???X: y');
  const trouble = 'port 8080 refuses connections: ECONNREFUSED';
  assert.deepEqual(decodeActivity(encodeMessage({ ...activity, trouble })), { ...activity, trouble });
  const hostile = `\u001b[31m${'x'.repeat(10_000)}`;
  assert.equal(decodeActivity(bytes({ ...activity, trouble: hostile })).trouble, `?[31m${'x'.repeat(195)}`);
  assert.throws(() => decodeActivity(bytes({ ...activity, trouble: [] })), /trouble is .*not a string/);
});

const refusals: [string, () => unknown, RegExp][] = [
  ['not JSON', () => decodeWake(new TextEncoder().encode('{')), /not JSON/],
  ['not an object', () => decodeWake(bytes([1])), /not a JSON object/],
  ['a missing string', () => decodeWake(bytes({ waiting: 1 })), /from is missing/],
  [
    'a negative count',
    () => decodeWake(bytes({ from: 'p', waiting: -1 })),
    /waiting is missing or not a number ≥ 0/,
  ],
  ['a wrong source', () => decodeActivity(bytes({ ...activity, source: 'me' })), /allowed: sidecar, proxy/],
  [
    'a wrong state',
    () => decodeReady(bytes({ pod: 'p', ip: 'i', port: 1, state: 'up' })),
    /allowed: ready, draining/,
  ],
  [
    'a state that is posted and never published',
    () => decodeReady(bytes({ pod: 'p', ip: 'i', port: 1, state: 'starting' })),
    /"starting"; allowed: ready, draining/,
  ],
  [
    'a wrong state that is posted',
    () => decodePosted(bytes({ pod: 'p', ip: 'i', port: 1, state: 'up' })),
    /allowed: starting, ready, draining/,
  ],
  [
    'a start that is no number',
    () => decodeReady(bytes({ pod: 'p', ip: 'i', port: 1, state: 'ready', start: 'now' })),
    /start is missing or not a number/,
  ],
  ['half a connection', () => decodeActivity(bytes({ ...activity, direct: 0.5 })), /direct is 0.5/],
  ['no number', () => decodeActivity(bytes({ ...activity, direct: '2' })), /direct is missing or not/],
  [
    'more connections than there are ports',
    () => decodeActivity(bytes({ ...activity, directOpened: 100_001 })),
    /directOpened is 100001; allowed/,
  ],
  ['shares that are no object', () => decodeShare(bytes({ limit: 1, shares: [] })), /shares is missing/],
  [
    'a share that is no number',
    () => decodeShare(bytes({ limit: 1, shares: { a: '1' } })),
    /a is missing or not a number/,
  ],
];
for (const [what, decode, message] of refusals) {
  test(`${what} is refused with a MessageError that names it`, () => {
    assert.throws(decode, (error) => error instanceof MessageError && message.test(error.message));
  });
}

test('random bytes never cause anything but a MessageError', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (data) => {
      for (const decode of [decodeWake, decodeActivity, decodeReady, decodeShare]) {
        try {
          decode(data);
        } catch (error) {
          assert.ok(error instanceof MessageError);
        }
      }
    }),
  );
});

test('what is longer or larger than any honest message is refused by its name', () => {
  const ready = { pod: 'p', ip: '10.0.0.1', port: 1, state: 'ready' };
  const cases: [() => unknown, RegExp][] = [
    [() => decodeReady(bytes({ ...ready, pod: 'p'.repeat(254) })), /pod is longer than 253/],
    [() => decodeReady(bytes({ ...ready, port: 65_536 })), /port is above 65535/],
    [() => decodeReady(bytes({ ...ready, later: 'x'.repeat(20_000) })), /at most 16384/],
    [() => decodeWake(bytes({ from: 'x'.repeat(300), waiting: 1 })), /from is longer/],
    [() => decodeActivity(bytes({ ...activity, running: 1e300 })), /running is above/],
    [() => decodeShare(bytes({ limit: 1, shares: { a: 1e300 } })), /a is above/],
    [
      () =>
        decodeShare(
          bytes({ limit: 1, shares: Object.fromEntries(Array.from({ length: 150_001 }, (_, i) => [i, 1])) }),
        ),
      /more than 150000 pods/,
    ],
  ];
  for (const [decode, why] of cases)
    assert.throws(decode, (error: unknown) => error instanceof MessageError && why.test(error.message));
});
