/** Whether a canary does worse than the function that it may replace. Pure. */
import type { CallTally } from '../../common/call/call-counts.ts';
import type { RollBackSpec } from '../../common/function/canary-end.ts';

/** A 95th percentile of fewer calls says nothing. */
const LEAST_CALLS = 20;

export interface PartNumbers {
  readonly calls: number;
  readonly errorPercent: number;
  /** undefined: too few calls ran. */
  readonly p95Ms: number | undefined;
}

export function numbersOf(tally: CallTally): PartNumbers {
  const { ended, failed } = tally;
  const p95Ms = tally.percentile(0.95, LEAST_CALLS);
  return { calls: ended, errorPercent: ended === 0 ? 0 : (100 * failed) / ended, p95Ms };
}

/**
 * The other one's errors count as none where it had no calls. Its durations count only where it had enough of them.
 * @param of its name, for people
 * @returns why the canary is to get no more calls; undefined: it goes on
 */
export function whyRollBack(
  canary: PartNumbers,
  stable: PartNumbers,
  { errorMarginPercent, latencyMarginPercent }: RollBackSpec,
  of: string,
): string | undefined {
  if (canary.errorPercent > stable.errorPercent + errorMarginPercent)
    return `${percent(canary.errorPercent)} of ${canary.calls} calls failed, and ${percent(stable.errorPercent)} of ${stable.calls} calls of ${of}; allowed: ${errorMarginPercent} points more`;
  if (latencyMarginPercent === undefined || canary.p95Ms === undefined || stable.p95Ms === undefined)
    return undefined;
  if (canary.p95Ms <= stable.p95Ms * (1 + latencyMarginPercent / 100)) return undefined;
  return `the 95th percentile of ${canary.calls} calls is ${millis(canary.p95Ms)}, and that of ${stable.calls} calls of ${of} ${millis(stable.p95Ms)}; allowed: ${latencyMarginPercent} % more`;
}

function percent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}

function millis(value: number): string {
  return `${Math.round(value)} ms`;
}
