/**
 * Between instants and local times of an IANA zone, with the zone data that Node carries (Intl). Formatters
 * are kept by zone, since making one costs about as much as 50 uses of it.
 */
export interface LocalDate {
  readonly year: number;
  /** 1–12. */
  readonly month: number;
  readonly day: number;
}

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/** Bounded by the number of IANA zones, about 600. */
const formatters = new Map<string, Intl.DateTimeFormat>();

export function localDate(timeZone: string, instantMs: number): LocalDate {
  const local = new Date(instantMs + offsetMs(timeZone, instantMs));
  return { year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate() };
}

/**
 * The instant at which a zone's clocks show `minute` (of the day) on `date`. It is the first one if they show it
 * twice, and the first instant after the gap if they never do.
 */
export function localToInstant(timeZone: string, date: LocalDate, minute: number): number {
  const midnightMs = Date.UTC(date.year, date.month - 1, date.day);
  const localMs = midnightMs + minute * MINUTE_MS;
  const { before, after } = offsetsOf(timeZone, midnightMs);
  const early = localMs - before;
  if (before === after || offsetMs(timeZone, early) === before) return early;
  const late = localMs - after;
  return offsetMs(timeZone, late) === after ? late : transitionBetween(timeZone, localMs);
}

interface Offsets {
  readonly before: number;
  readonly after: number;
}

/** By zone and day. 10,000 schedules mostly share a zone and the same few days; the rest is arithmetic. */
const offsetsByDay = new Map<string, Offsets>();
const MAX_DAYS_KEPT = 5_000;

/** Offsets that surely hold before and after a local day: those of a day earlier and of two days later. */
function offsetsOf(timeZone: string, midnightMs: number): Offsets {
  const key = `${timeZone} ${midnightMs}`;
  let offsets = offsetsByDay.get(key);
  if (!offsets) {
    // Offsets lie within −12 h and +14 h, so the day itself lies well between these two moments.
    const before = offsetMs(timeZone, midnightMs - DAY_MS);
    offsets = { before, after: offsetMs(timeZone, midnightMs + 2 * DAY_MS) };
    if (offsetsByDay.size >= MAX_DAYS_KEPT) offsetsByDay.clear();
    offsetsByDay.set(key, offsets);
  }
  return offsets;
}

/** The change of offset within two days of `localMs`: found by halving, to the second. */
function transitionBetween(timeZone: string, localMs: number): number {
  let [low, high] = [localMs - 2 * DAY_MS, localMs + 2 * DAY_MS];
  const before = offsetMs(timeZone, low);
  while (high - low > 1_000) {
    const middle = Math.floor((low + high) / 2_000) * 1_000;
    if (offsetMs(timeZone, middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

/** Local time minus UTC. */
export function offsetMs(timeZone: string, instantMs: number): number {
  let formatter = formatters.get(timeZone);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
    formatters.set(timeZone, formatter);
  }
  // "3/29/2026, GMT+02:00"; "GMT" alone is zero; old local mean times have seconds.
  const match = /GMT([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(formatter.format(instantMs));
  if (!match) return 0;
  const [, sign, hours, minutes, seconds = '0'] = match as unknown as [
    string,
    string,
    string,
    string,
    string?,
  ];
  const size = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000;
  return sign === '-' ? -size : size;
}
