import { test } from 'node:test';
import assert from 'node:assert/strict';
import { localDate, localToInstant, offsetMs } from '../../../scaler/schedule/local-time.ts';

/** zone, local date and time, the instant in UTC, why. */
const INSTANTS: readonly [string, string, string, string][] = [
  ['UTC', '2026-01-01 00:00', '2026-01-01T00:00Z', 'UTC itself'],
  ['Europe/Paris', '2026-01-15 07:00', '2026-01-15T06:00Z', 'east, winter'],
  ['Europe/Paris', '2026-07-15 07:00', '2026-07-15T05:00Z', 'east, summer'],
  ['America/New_York', '2026-01-15 20:00', '2026-01-16T01:00Z', 'west: already tomorrow in UTC'],
  ['Pacific/Auckland', '2026-01-15 07:00', '2026-01-14T18:00Z', 'far east: still yesterday in UTC'],
  ['Pacific/Kiritimati', '2026-06-01 00:30', '2026-05-31T10:30Z', '+14:00'],
  ['Pacific/Pago_Pago', '2026-06-01 23:30', '2026-06-02T10:30Z', '−11:00'],
  ['Asia/Kolkata', '2026-06-01 07:00', '2026-06-01T01:30Z', 'half an hour off'],
  ['Asia/Kathmandu', '2026-06-01 07:00', '2026-06-01T01:15Z', 'three quarters off'],
  ['Europe/Paris', '2026-03-29 01:59', '2026-03-29T00:59Z', 'the minute before the gap'],
  ['Europe/Paris', '2026-03-29 02:00', '2026-03-29T01:00Z', 'the gap begins: first instant after it'],
  ['Europe/Paris', '2026-03-29 02:30', '2026-03-29T01:00Z', 'in the gap: first instant after it'],
  ['Europe/Paris', '2026-03-29 03:00', '2026-03-29T01:00Z', 'the first time after the gap'],
  ['Europe/Paris', '2026-03-29 07:00', '2026-03-29T05:00Z', 'later that day'],
  ['Europe/Paris', '2026-10-25 01:59', '2026-10-24T23:59Z', 'before the repeated hour'],
  ['Europe/Paris', '2026-10-25 02:30', '2026-10-25T00:30Z', 'repeated: the first time'],
  ['Europe/Paris', '2026-10-25 03:00', '2026-10-25T02:00Z', 'after the repeated hour'],
  ['America/New_York', '2026-03-08 02:30', '2026-03-08T07:00Z', 'gap in the west'],
  ['America/New_York', '2026-11-01 01:30', '2026-11-01T05:30Z', 'repeated in the west: the first time'],
  ['Australia/Lord_Howe', '2026-10-04 02:15', '2026-10-03T15:30Z', 'a gap of half an hour'],
  ['Australia/Lord_Howe', '2026-04-05 01:45', '2026-04-04T14:45Z', 'half an hour repeated: the first time'],
  ['America/Havana', '2026-03-08 00:30', '2026-03-08T05:00Z', 'a gap at midnight'],
  ['Pacific/Apia', '2011-12-30 07:00', '2011-12-30T10:00Z', 'a day that never was'],
];

for (const [zone, local, utc, why] of INSTANTS) {
  test(`behaviour 38: ${local} in ${zone} is ${utc} (${why})`, () => {
    const [year, month, day, hour, minute] = local.split(/[- :]/).map(Number) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const instant = localToInstant(zone, { year, month, day }, hour * 60 + minute);
    assert.equal(new Date(instant).toISOString(), new Date(utc).toISOString());
  });
}

test('the local date of an instant is the zone’s, not that of UTC', () => {
  const instant = Date.parse('2025-12-31T23:30Z');
  assert.deepEqual(localDate('Europe/Paris', instant), { year: 2026, month: 1, day: 1 });
  assert.deepEqual(localDate('America/New_York', instant), { year: 2025, month: 12, day: 31 });
});

test('offsets: sign, minutes, zero', () => {
  const winter = Date.parse('2026-01-15T00:00Z');
  assert.equal(offsetMs('UTC', winter), 0);
  assert.equal(offsetMs('Europe/London', winter), 0);
  assert.equal(offsetMs('America/St_Johns', winter), -3.5 * 3_600_000);
  assert.equal(offsetMs('Asia/Kathmandu', winter), 5.75 * 3_600_000);
});
