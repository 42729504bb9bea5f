/** Why a query has no value: its selectors find no series at all. That is a slip in a name, or nobody exports it. */
import { METRIC_NAME } from './labels.ts';
import type { Matcher } from './matcher.ts';
import type { Query } from './query.ts';
import { SOURCE_LABEL } from './scope.ts';
import type { SeriesSource } from './values.ts';

/** As far back as an instant selector looks; longer ranges see what was there before too. */
const LOOK_BACK_MS = 300_000;

/**
 * @param visit called for each series that is looked at; may throw to end the search
 * @returns undefined where some selector finds a series, or the query has none
 */
export function whyNothing(
  { selectors }: Query,
  series: SeriesSource,
  nowMs: number,
  visit: () => void,
): string | undefined {
  const [first] = selectors;
  if (first === undefined) return undefined;
  const hasSeries = (all: readonly Matcher[]): boolean =>
    series.latest(all, nowMs - LOOK_BACK_MS, nowMs, visit).length > 0;
  return selectors.some(hasSeries) ? undefined : `no series match ${textOf(first)}`;
}

function textOf(matchers: readonly Matcher[]): string {
  const name = matchers.find(({ label, op }) => label === METRIC_NAME && op === '=')?.value ?? '';
  const shown = matchers.filter(({ label }) => label !== SOURCE_LABEL);
  const others = shown.filter(({ label, op }) => label !== METRIC_NAME || op !== '=');
  const labels = others.map(({ label, op, value }) => `${label}${op}${JSON.stringify(value)}`);
  return `${name}{${labels.join(',')}}`;
}
