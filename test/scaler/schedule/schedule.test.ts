import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import type { ScheduleSpec } from '../../../common/function/spec.ts';
import { createScheduleClock, scheduleAt } from '../../../scaler/schedule/schedule.ts';

function spec(value: unknown): ScheduleSpec {
  const parsed = parseAnnotations({ 'SlimFaas/Schedule': JSON.stringify(value) });
  assert.deepEqual(parsed.faults, []);
  return parsed.spec.schedule as ScheduleSpec;
}

const PARIS = spec({
  TimeZoneID: 'Europe/Paris',
  Default: {
    WakeUp: ['07:00', '13:30'],
    ScaleDownTimeout: [
      { Time: '07:00', Value: 3600 },
      { Time: '20:00', Value: 10 },
    ],
  },
});

/** schedule, now, last wake-up, idle timeout, next change, why. */
const STATES: readonly [
  ScheduleSpec,
  string,
  string | undefined,
  number | undefined,
  string | undefined,
  string,
][] = [
  [PARIS, '2026-06-10T04:59:59Z', '2026-06-09T11:30Z', 10, '2026-06-10T05:00Z', 'a second before 07:00'],
  [PARIS, '2026-06-10T05:00Z', '2026-06-10T05:00Z', 3600, '2026-06-10T11:30Z', '07:00 itself'],
  [PARIS, '2026-06-10T12:00Z', '2026-06-10T11:30Z', 3600, '2026-06-10T18:00Z', 'after the second wake-up'],
  [
    PARIS,
    '2026-06-10T22:30Z',
    '2026-06-10T11:30Z',
    10,
    '2026-06-11T05:00Z',
    'after midnight: yesterday’s last holds',
  ],
  [PARIS, '2025-12-31T23:30Z', '2025-12-31T12:30Z', 10, '2026-01-01T06:00Z', 'after midnight on New Year'],
  [
    PARIS,
    '2026-03-29T03:00Z',
    '2026-03-28T12:30Z',
    10,
    '2026-03-29T05:00Z',
    'the day on which summer begins',
  ],
  [PARIS, '2026-10-25T05:30Z', '2026-10-24T11:30Z', 10, '2026-10-25T06:00Z', 'the day on which summer ends'],
];

for (const [schedule, now, wakeUp, seconds, next, why] of STATES) {
  test(`behaviour 38: the schedule at ${now} (${why})`, () => {
    const state = scheduleAt(schedule, Date.parse(now));
    assert.equal(iso(state.lastWakeUpMs), wakeUp && iso(Date.parse(wakeUp)));
    assert.equal(state.idleTimeoutSeconds, seconds);
    assert.equal(iso(state.nextChangeMs), next && iso(Date.parse(next)));
  });
}

function iso(ms: number | undefined): string | undefined {
  return ms === undefined || !Number.isFinite(ms) ? undefined : new Date(ms).toISOString();
}

test('zones west of UTC: the day changes when it does there', () => {
  const schedule = spec({ TimeZoneID: 'America/Los_Angeles', Monday: { WakeUp: ['20:00'] } });
  // Monday 8 June, 20:00 in Los Angeles is Tuesday 03:00 in UTC.
  assert.equal(
    iso(scheduleAt(schedule, Date.parse('2026-06-09T02:59Z')).lastWakeUpMs),
    '2026-06-02T03:00:00.000Z',
  );
  assert.equal(
    iso(scheduleAt(schedule, Date.parse('2026-06-09T03:00Z')).lastWakeUpMs),
    '2026-06-09T03:00:00.000Z',
  );
});

test('zones east of UTC: the day changes when it does there', () => {
  const schedule = spec({ TimeZoneID: 'Asia/Tokyo', Monday: { WakeUp: ['06:00'] } });
  // Monday 8 June, 06:00 in Tokyo is Sunday 21:00 in UTC.
  assert.equal(
    iso(scheduleAt(schedule, Date.parse('2026-06-07T21:00Z')).lastWakeUpMs),
    '2026-06-07T21:00:00.000Z',
  );
});

test('a weekday replaces Default on its day only', () => {
  const schedule = spec({
    TimeZoneID: 'UTC',
    Default: { WakeUp: ['07:00'] },
    Saturday: { WakeUp: ['09:00'] },
    Sunday: { WakeUp: [] },
  });
  const at = (now: string) => iso(scheduleAt(schedule, Date.parse(now)).lastWakeUpMs);
  assert.equal(at('2026-06-12T12:00Z'), '2026-06-12T07:00:00.000Z', 'Friday');
  assert.equal(at('2026-06-13T08:00Z'), '2026-06-12T07:00:00.000Z', 'Saturday before nine');
  assert.equal(at('2026-06-13T10:00Z'), '2026-06-13T09:00:00.000Z', 'Saturday after nine');
  assert.equal(at('2026-06-14T10:00Z'), '2026-06-13T09:00:00.000Z', 'Sunday has none');
});

test('a weekday without timeouts of its own goes on with the last of the day before', () => {
  const schedule = spec({
    TimeZoneID: 'UTC',
    Default: {
      ScaleDownTimeout: [
        { Time: '08:00', Value: 60 },
        { Time: '18:00', Value: 5 },
      ],
    },
    Saturday: { ScaleDownTimeout: [] },
    Sunday: { ScaleDownTimeout: [] },
  });
  assert.equal(scheduleAt(schedule, Date.parse('2026-06-14T12:00Z')).idleTimeoutSeconds, 5);
  assert.equal(scheduleAt(schedule, Date.parse('2026-06-15T08:00Z')).idleTimeoutSeconds, 60);
});

test('an empty schedule says nothing and never changes', () => {
  assert.deepEqual(scheduleAt(spec({}), 1_000), {
    lastWakeUpMs: undefined,
    idleTimeoutSeconds: undefined,
    validFromMs: -Infinity,
    nextChangeMs: Infinity,
  });
});

test('behaviour 38: a wake-up in the gap of spring happens once, at the first instant after it', () => {
  const schedule = spec({ TimeZoneID: 'Europe/Paris', Default: { WakeUp: ['02:30'] } });
  assert.deepEqual(wakeUps(schedule, '2026-03-28T00:00Z', '2026-03-31T00:00Z'), [
    '2026-03-28T01:30:00.000Z',
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ]);
});

test('behaviour 38: a wake-up in the repeated hour of autumn happens once, the first time', () => {
  const schedule = spec({ TimeZoneID: 'Europe/Paris', Default: { WakeUp: ['02:30'] } });
  assert.deepEqual(wakeUps(schedule, '2026-10-24T00:00Z', '2026-10-27T00:00Z'), [
    '2026-10-24T00:30:00.000Z',
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ]);
});

test('of two timeouts that a gap pushes together the later one holds', () => {
  const schedule = spec({
    TimeZoneID: 'Europe/Paris',
    Default: {
      ScaleDownTimeout: [
        { Time: '02:15', Value: 1 },
        { Time: '02:45', Value: 2 },
      ],
    },
  });
  assert.equal(scheduleAt(schedule, Date.parse('2026-03-29T01:00Z')).idleTimeoutSeconds, 2);
});

/** The distinct wake-ups that a caller who looks each minute would see. */
function wakeUps(schedule: ScheduleSpec, from: string, to: string): string[] {
  const seen = new Set<number>();
  for (let now = Date.parse(from); now < Date.parse(to); now += 60_000) {
    const { lastWakeUpMs } = scheduleAt(schedule, now);
    if (lastWakeUpMs !== undefined && lastWakeUpMs >= Date.parse(from)) seen.add(lastWakeUpMs);
  }
  return [...seen].map((ms) => new Date(ms).toISOString());
}

test('behaviour 38: the clock jumps back and on, and the state is that of the moment', () => {
  const clock = createScheduleClock(PARIS);
  for (const now of ['2026-06-10T12:00Z', '2026-06-09T12:00Z', '2026-06-12T23:00Z', '2026-06-10T12:00Z']) {
    assert.deepEqual(clock(Date.parse(now)), scheduleAt(PARIS, Date.parse(now)), now);
  }
});

const ZONES = [
  'UTC',
  'Europe/Paris',
  'America/New_York',
  'Asia/Kolkata',
  'Pacific/Auckland',
  'Australia/Lord_Howe',
  'America/Havana',
];

const anySchedule = fc.record({
  timeZone: fc.constantFrom(...ZONES),
  default: fc.record({
    wakeUpMinutes: fc
      .uniqueArray(fc.nat(1439), { maxLength: 3 })
      .map((list) => list.toSorted((a, b) => a - b)),
    scaleDownTimeouts: fc
      .uniqueArray(fc.nat(1439), { maxLength: 3 })
      .map((list) => list.toSorted((a, b) => a - b).map((minute, i) => ({ minute, seconds: i + 1 }))),
  }),
  weekdays: fc.constant({}),
});

const YEAR = [Date.parse('2026-01-01T00:00Z'), Date.parse('2027-01-01T00:00Z')] as const;

test('a state holds from validFrom until just before nextChange, and not at nextChange', () => {
  fc.assert(
    fc.property(
      anySchedule,
      fc.integer({ min: YEAR[0], max: YEAR[1] }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (schedule, now, part) => {
        const state = scheduleAt(schedule, now);
        if (state.nextChangeMs === Infinity) return;
        assert.ok(state.validFromMs <= now && now < state.nextChangeMs);
        const between = Math.floor(state.validFromMs + part * (state.nextChangeMs - state.validFromMs - 1));
        assert.deepEqual(scheduleAt(schedule, between), state);
        assert.notDeepEqual(scheduleAt(schedule, state.nextChangeMs), state);
      },
    ),
    { numRuns: 300 },
  );
});

test('every local day has each wake-up exactly once, all year, in every zone', () => {
  for (const timeZone of ZONES) {
    const schedule: ScheduleSpec = {
      timeZone,
      default: { wakeUpMinutes: [150], scaleDownTimeouts: [] },
      weekdays: {},
    };
    let [count, now] = [0, YEAR[0]];
    const clock = createScheduleClock(schedule);
    while (now < YEAR[1]) {
      now = clock(now).nextChangeMs;
      count += 1;
    }
    // The last step goes past the year's end: 365 days and one.
    assert.equal(count, 366, timeZone);
  }
});
