/** `slimfaas.dev/rate-limit`: how often a function may be called, by each caller and by all of them together. */
import type { RateLimitSpec, RateSpec } from '../../callers.ts';
import type { ReportFault } from '../faults.ts';
import { fields, numberOr, parseJsonPart, reject, type JsonPart } from '../json.ts';
import { MAX_INT } from '../values.ts';

const NO_LIMITS: RateLimitSpec = { perCaller: 'none', perFunction: 'none' };

const IN_FORCE = "the proxy's default";
/** A call a week; and more than one proxy can answer. */
const MIN_RATE = 1 / 604_800;
const MAX_RATE = 1_000_000;

/** `none`, or `{"PerCaller": {"Rate": 10, "Burst": 20}, "PerFunction": …}` with rates in calls per second. */
export function readRateLimit(text: string, report: ReportFault): RateLimitSpec | undefined {
  if (text.toLowerCase() === 'none') return NO_LIMITS;
  const top = parseJsonPart(text, report, IN_FORCE);
  if (top === undefined) return undefined;
  const f = fields(top, ['PerCaller', 'PerFunction'], IN_FORCE);
  return { perCaller: readPart(f.PerCaller), perFunction: readPart(f.PerFunction) };
}

function readPart(part: JsonPart | undefined): RateSpec | 'none' | undefined {
  if (part === undefined) return undefined;
  return part.value === 'none' ? 'none' : readRate(part, IN_FORCE);
}

/** @returns undefined without a Rate that can be used */
function readRate(part: JsonPart, inForce: string): RateSpec | undefined {
  const f = fields(part, ['Rate', 'Burst'], inForce);
  if (f.Rate === undefined) reject(part, 'an object with a Rate, and a Burst if need be', inForce);
  const ratePerSecond = numberOr(f.Rate, { min: MIN_RATE, max: MAX_RATE }, undefined, inForce);
  if (ratePerSecond === undefined) return undefined;
  const least = Math.max(1, Math.ceil(ratePerSecond));
  return { ratePerSecond, burst: numberOr(f.Burst, { min: 1, max: MAX_INT, isWhole: true }, least) };
}
