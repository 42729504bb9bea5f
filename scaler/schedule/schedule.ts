/**
 * What a `SlimFaas/Schedule` says at a moment: when it last woke the function, and which idle timeout holds.
 * Pure; days are counted in the schedule's own zone.
 *
 * A WakeUp is a call at that time and nothing more: the function is woken then and stays awake until the idle
 * timeout has passed since. So the caller takes `lastWakeUpMs` as one more moment of activity.
 *
 * A local time that a clock change skips happens at the first instant after the gap; one that happens twice
 * counts the first time.
 *
 * Room `scaler/schedule`: Times of day at which functions are kept up.
 * Comes in: schedules and a time.
 * Goes out: a minimum.
 */
import type { FunctionSpec, ScheduleDay, ScheduleSpec } from '../../common/function/spec.ts';
import { localDate, localToInstant, type LocalDate } from './local-time.ts';

export interface ScheduleState {
  /** The latest WakeUp that is not in the future; undefined when there has been none for a week. */
  readonly lastWakeUpMs: number | undefined;
  /** The idle timeout in force; undefined when the schedule has none: then the annotation's holds. */
  readonly idleTimeoutSeconds: number | undefined;
  /** The state is the same from here … */
  readonly validFromMs: number;
  /** … until just before here; Infinity for a schedule without entries. */
  readonly nextChangeMs: number;
}

/** With weekdays a week back and a week on, and a day for zones; else yesterday, tomorrow and the same. */
const DAYS_EACH_WAY_FOR_WEEKDAYS = 8;
const DAYS_EACH_WAY = 2;

export function scheduleAt(spec: ScheduleSpec, nowMs: number): ScheduleState {
  const today = localDate(spec.timeZone, nowMs);
  const state = { lastWakeUpMs: -Infinity, timeoutMs: -Infinity, seconds: undefined as number | undefined };
  let nextChangeMs = Infinity;
  for (const { atMs, seconds } of entriesNear(spec, today)) {
    if (atMs > nowMs) nextChangeMs = Math.min(nextChangeMs, atMs);
    else if (seconds === undefined) state.lastWakeUpMs = Math.max(state.lastWakeUpMs, atMs);
    // ">=": of two entries that a gap has pushed to one instant the later one holds.
    else if (atMs >= state.timeoutMs) Object.assign(state, { timeoutMs: atMs, seconds });
  }
  return {
    lastWakeUpMs: state.lastWakeUpMs === -Infinity ? undefined : state.lastWakeUpMs,
    idleTimeoutSeconds: state.seconds,
    validFromMs: Math.max(state.lastWakeUpMs, state.timeoutMs),
    nextChangeMs,
  };
}

interface Entry {
  readonly atMs: number;
  /** The idle timeout from then on; undefined for a WakeUp. */
  readonly seconds: number | undefined;
}

function* entriesNear(spec: ScheduleSpec, today: LocalDate): Generator<Entry> {
  const days = Object.keys(spec.weekdays).length > 0 ? DAYS_EACH_WAY_FOR_WEEKDAYS : DAYS_EACH_WAY;
  for (let offset = -days; offset <= days; offset++) {
    const date = addDays(today, offset);
    const day = dayOf(spec, date);
    for (const minute of day.wakeUpMinutes) {
      yield { atMs: localToInstant(spec.timeZone, date, minute), seconds: undefined };
    }
    for (const { minute, seconds } of day.scaleDownTimeouts) {
      yield { atMs: localToInstant(spec.timeZone, date, minute), seconds };
    }
  }
}

function dayOf(spec: ScheduleSpec, date: LocalDate): ScheduleDay {
  const weekday = new Date(Date.UTC(date.year, date.month - 1, date.day)).getUTCDay();
  return spec.weekdays[weekday as 0 | 1 | 2 | 3 | 4 | 5 | 6] ?? spec.default;
}

function addDays(date: LocalDate, days: number): LocalDate {
  const utc = new Date(Date.UTC(date.year, date.month - 1, date.day + days));
  return { year: utc.getUTCFullYear(), month: utc.getUTCMonth() + 1, day: utc.getUTCDate() };
}

/**
 * `scheduleAt` for one function's ticks: computed again only when something changes, or when the clock has
 * jumped back before the last change. 10,000 schedules then cost a comparison a tick each.
 */
export function createScheduleClock(spec: ScheduleSpec): (nowMs: number) => ScheduleState {
  let state: ScheduleState | undefined;
  return (nowMs) => {
    if (!state || nowMs < state.validFromMs || nowMs >= state.nextChangeMs) state = scheduleAt(spec, nowMs);
    return state;
  };
}

/** By spec, which stays the same object until the annotations change. */
const clocks = new WeakMap<FunctionSpec, (nowMs: number) => ScheduleState>();

/** The schedule of a function at a time; undefined for a function without one. */
export function scheduleOf(spec: FunctionSpec, nowMs: number): ScheduleState | undefined {
  if (!spec.schedule) return undefined;
  const known = clocks.get(spec);
  if (known) return known(nowMs);
  const clock = createScheduleClock(spec.schedule);
  clocks.set(spec, clock);
  return clock(nowMs);
}
