/**
 * Makes room in a full store. The oldest samples go first, because triggers decide by the newest. The functions that
 * keep most give first, so that one function with thousands of series does not shorten the past of others.
 */
import { dropUpTo, type Series } from './samples.ts';

/** Under a minute nothing could be said of a rate any more. */
const LEAST_KEPT_MS = 60_000;

export interface RoomWanted {
  readonly series: Iterable<Series>;
  readonly nowMs: number;
  readonly retentionMs: number;
  /** How many samples are to go. */
  readonly samples: number;
  /** Called for each keeper whose past became shorter: its samples before `sinceMs` are gone. */
  readonly onShortened: (keeper: string, sinceMs: number) => void;
}

interface Group {
  readonly series: readonly Series[];
  samples: number;
  keptMs: number;
}

/** @returns how many samples went, and how many of them before their time; too few where all are down to the least */
export function makeRoom(wanted: RoomWanted): { gone: number; early: number } {
  const { nowMs, retentionMs } = wanted;
  let [gone, early] = [0, 0];
  const groups: Group[] = [];
  for (const series of Map.groupBy(wanted.series, ({ keepers }) => keepers[0] ?? '').values()) {
    for (const one of series) gone += dropUpTo(one, nowMs - retentionMs);
    groups.push({ series, samples: sizeOf(series), keptMs: retentionMs });
  }
  while (gone < wanted.samples) {
    const group = largest(groups.filter(({ keptMs }) => keptMs / 2 >= LEAST_KEPT_MS));
    if (!group) break;
    group.keptMs /= 2;
    const sinceMs = nowMs - group.keptMs;
    for (const one of group.series) {
      const dropped = dropUpTo(one, sinceMs);
      group.samples -= dropped;
      early += dropped;
      gone += dropped;
      for (const keeper of one.keepers) wanted.onShortened(keeper, sinceMs);
    }
  }
  return { gone, early };
}

function sizeOf(series: readonly Series[]): number {
  return series.reduce((sum, { times }) => sum + times.length, 0);
}

function largest(groups: readonly Group[]): Group | undefined {
  return groups.reduce<Group | undefined>(
    (most, group) => (!most || group.samples > most.samples ? group : most),
    undefined,
  );
}
