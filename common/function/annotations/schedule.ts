/**
 * `SlimFaas/Schedule`: wake-up times and idle timeouts by time of day. Beside SlimFaas's `Default` a day of the
 * week may have its own entry; a part that the day leaves out is Default's, an empty list means none.
 */
import { fields, items, numberOr, parseJsonPart, reject, type JsonPart } from './json.ts';
import type { ReportFault } from './faults.ts';
import { MAX_INT } from './values.ts';
import type { ScheduleDay, ScheduleSpec } from '../spec.ts';

/** SlimFaas's own default ("GB" there). */
const DEFAULT_TIME_ZONE = 'Europe/London';

const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
type WeekdayNumber = 0 | 1 | 2 | 3 | 4 | 5 | 6;

const EMPTY_DAY: ScheduleDay = { wakeUpMinutes: [], scaleDownTimeouts: [] };

export function readSchedule(text: string, report: ReportFault): ScheduleSpec | undefined {
  const top = parseJsonPart(text, report, 'no schedule');
  if (top === undefined) return undefined;
  const parts = fields(top, ['TimeZoneID', 'Default', ...WEEKDAYS], 'no schedule');
  const fallback = parts.Default === undefined ? EMPTY_DAY : readDay(parts.Default, EMPTY_DAY);
  const weekdays: Partial<Record<WeekdayNumber, ScheduleDay>> = {};
  for (const [number, name] of WEEKDAYS.entries()) {
    const part = parts[name];
    if (part !== undefined) weekdays[number as WeekdayNumber] = readDay(part, fallback);
  }
  return { timeZone: readTimeZone(parts.TimeZoneID), default: fallback, weekdays };
}

function readTimeZone(part: JsonPart | undefined): string {
  if (part === undefined) return DEFAULT_TIME_ZONE;
  const zone = typeof part.value === 'string' ? part.value.trim() : '';
  if (zone !== '' && isTimeZone(zone)) return zone;
  reject(part, 'an IANA time zone such as Europe/Paris', DEFAULT_TIME_ZONE);
  return DEFAULT_TIME_ZONE;
}

/** A formatter takes 90 µs to make; there are about 600 zones, and most functions share one. */
const knownZones = new Set<string>();

export function isTimeZone(zone: string): boolean {
  if (knownZones.has(zone)) return true;
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    knownZones.add(zone);
    return true;
  } catch {
    return false;
  }
}

function readDay(part: JsonPart, fallback: ScheduleDay): ScheduleDay {
  const f = fields(part, ['WakeUp', 'ScaleDownTimeout'], 'ignored');
  const wakeUps = f.WakeUp && items(f.WakeUp, 'times such as "07:00"', 'ignored');
  const timeouts = f.ScaleDownTimeout && items(f.ScaleDownTimeout, '{Time, Value}', 'ignored');
  return {
    wakeUpMinutes: wakeUps ? readWakeUps(wakeUps) : fallback.wakeUpMinutes,
    scaleDownTimeouts: timeouts ? readTimeouts(timeouts) : fallback.scaleDownTimeouts,
  };
}

function readWakeUps(parts: readonly JsonPart[]): number[] {
  const minutes = parts.map(readTime).filter((minute) => minute !== undefined);
  return [...new Set(minutes)].toSorted((a, b) => a - b);
}

/** Sorted by time; of two entries for one minute the later written one holds. */
function readTimeouts(parts: readonly JsonPart[]): { minute: number; seconds: number }[] {
  const byMinute = new Map<number, number>();
  for (const part of parts) {
    const f = fields(part, ['Time', 'Value'], 'ignored');
    const minute = f.Time === undefined ? 0 : readTime(f.Time);
    if (f.Value === undefined) reject(part, '{Time, Value}, Value in seconds', 'ignored');
    const seconds = numberOr(f.Value, { min: 0, max: MAX_INT, isWhole: true }, undefined, 'ignored');
    if (minute !== undefined && seconds !== undefined) byMinute.set(minute, seconds);
  }
  return [...byMinute]
    .map(([minute, seconds]) => ({ minute, seconds }))
    .toSorted((a, b) => a.minute - b.minute);
}

function readTime(part: JsonPart): number | undefined {
  const match = typeof part.value === 'string' ? /^\s*(\d{1,2}):(\d{2})\s*$/.exec(part.value) : null;
  const [hour, minute] = [Number(match?.[1]), Number(match?.[2])];
  if (hour <= 23 && minute <= 59) return hour * 60 + minute;
  reject(part, 'a time of day from "00:00" to "23:59"', 'ignored');
  return undefined;
}
