/** Whether a canary does worse than the function that it may replace, and not by chance. Pure. */
import type { CallTally } from '../../common/call/call-counts.ts';
import type { RollBackSpec } from '../../common/function/canary-end.ts';

/** A 95th percentile of fewer calls is not shown. */
const SHOWN_CALLS = 20;
/** With fewer calls of either part it is not compared: it would be one of their five longest. */
const COMPARED_CALLS = 100;
const PART = 0.95;
/** A difference within so many standard errors counts as chance. A canary is judged thousands of times, so three are too few. */
const STANDARD_ERRORS = 4;

export interface PartNumbers {
  readonly calls: number;
  readonly errorPercent: number;
  /** undefined: too few calls ran. */
  readonly p95Ms: number | undefined;
}

export function numbersOf(tally: CallTally): PartNumbers {
  const { ended, failed } = tally;
  const p95Ms = tally.percentile(PART, SHOWN_CALLS);
  return { calls: ended, errorPercent: ended === 0 ? 0 : (100 * failed) / ended, p95Ms };
}

/**
 * The difference of the rates must be above the margin, and above what chance explains. The other one's errors count as
 * none where it had no calls.
 * @param of its name, for people
 * @returns why the canary is to get no more calls; undefined: it goes on
 */
export function whyByErrors(
  canary: CallTally,
  stable: CallTally,
  { errorMarginPercent }: Pick<RollBackSpec, 'errorMarginPercent'>,
  of: string,
): string | undefined {
  const [those, others] = [numbersOf(canary), numbersOf(stable)];
  const more = those.errorPercent - others.errorPercent;
  if (more <= errorMarginPercent || more <= 100 * STANDARD_ERRORS * standardError(canary, stable))
    return undefined;
  return `${percent(those.errorPercent)} of ${those.calls} calls failed, and ${percent(others.errorPercent)} of ${others.calls} calls of ${of}; allowed: ${errorMarginPercent} points more`;
}

/** Both have so many calls that {@link whyByTimes} can compare them. */
export function canCompareTimes(canary: CallTally, stable: CallTally): boolean {
  return Math.min(canary.ran, stable.ran) >= COMPARED_CALLS;
}

/**
 * The margin must be exceeded also by a lower percentile of the canary: by the one that chance may have put in place of
 * its 95th.
 * @returns why the canary is to get no more calls; undefined: it goes on, or cannot be compared
 */
export function whyByTimes(
  canary: CallTally,
  stable: CallTally,
  { latencyMarginPercent = Infinity }: Pick<RollBackSpec, 'latencyMarginPercent'>,
  of: string,
): string | undefined {
  const chance = STANDARD_ERRORS * Math.sqrt(PART * (1 - PART) * (1 / canary.ran + 1 / stable.ran));
  const [low, those] = [PART - chance, PART].map((part) => canary.percentile(part, COMPARED_CALLS));
  const others = stable.percentile(PART, COMPARED_CALLS);
  if (low === undefined || those === undefined || others === undefined) return undefined;
  if (low <= others * (1 + latencyMarginPercent / 100)) return undefined;
  return `the 95th percentile of ${canary.ran} calls is ${millis(those)}, and that of ${stable.ran} calls of ${of} ${millis(others)}; allowed: ${latencyMarginPercent} % more`;
}

/**
 * The standard error of the difference of two rates, as in a two-proportion z-test without pooling (NIST/SEMATECH
 * e-Handbook of Statistical Methods, 7.3.3). Each part gets a success and a failure more (Agresti and Caffo, The American Statistician 54, 2000),
 * since few calls without an error do not prove a rate of zero.
 */
function standardError(canary: CallTally, stable: CallTally): number {
  const parts = stable.ended === 0 ? [canary] : [canary, stable];
  const variances = parts.map(({ ended, failed }) => {
    const rate = (failed + 1) / (ended + 2);
    return (rate * (1 - rate)) / (ended + 2);
  });
  return Math.sqrt(variances.reduce((sum, each) => sum + each, 0));
}

function percent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}

function millis(value: number): string {
  return `${Math.round(value)} ms`;
}
