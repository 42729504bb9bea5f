/**
 * A day of one function's callers, one number per second, made from a seed: a working day's curve, three bursts,
 * an hour of one call a minute, and a night without anybody. Pure.
 */
export const DAY_SECONDS = 86_400;

interface Burst {
  readonly atHour: number;
  readonly seconds: number;
  readonly perSecond: number;
}

const BURSTS: readonly Burst[] = [
  { atHour: 8.5, seconds: 60, perSecond: 120 },
  { atHour: 13, seconds: 300, perSecond: 60 },
  { atHour: 21.25, seconds: 20, perSecond: 150 },
];

/** Callers that arrive in each second of the day. */
export function dayOfCalls(seed: number): Uint16Array {
  const random = mulberry32(seed);
  return Uint16Array.from({ length: DAY_SECONDS }, (_, second) => {
    const hour = second / 3600;
    if (hour >= 4 && hour < 5) return second % 60 === 0 ? 1 : 0;
    return poisson(rateAt(second), random);
  });
}

function rateAt(second: number): number {
  const hour = second / 3600;
  const burst = BURSTS.find(
    ({ atHour, seconds }) => second >= atHour * 3600 && second < atHour * 3600 + seconds,
  );
  // Nobody from midnight to seven and after eleven; a hump with its top at two in the afternoon.
  const hump = hour < 7 || hour > 23 ? 0 : 25 * Math.sin((Math.PI * (hour - 7)) / 16) ** 2;
  return hump + (burst?.perSecond ?? 0);
}

/** Knuth's method; the rates here are far below where it underflows. */
function poisson(rate: number, random: () => number): number {
  if (rate === 0) return 0;
  const limit = Math.exp(-rate);
  let count = -1;
  for (let product = 1; product > limit; product *= random()) count++;
  return Math.max(0, count); // a rate so small that e^-rate is 1
}

/** A small generator with a seed, so that the plot is the same for everybody. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
