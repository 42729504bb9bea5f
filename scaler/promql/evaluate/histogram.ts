/** `histogram_quantile` over classic buckets (`le` labels), by Prometheus's algorithm. */
import { dropLabels, dropName, labelsKey, type Labels } from '../labels.ts';
import type { Sample } from '../values.ts';

interface Bucket {
  readonly bound: number;
  count: number;
}

const LE = ['le'];

export function histogramQuantile(q: number, samples: readonly Sample[]): Sample[] {
  return ofHistograms(samples, (buckets) => bucketQuantile(q, buckets));
}

/** Which part of the observations lies between two values. */
export function histogramFraction(lower: number, upper: number, samples: readonly Sample[]): Sample[] {
  return ofHistograms(samples, (buckets) => bucketFraction(lower, upper, buckets));
}

/** Buckets belong together that differ in `le` alone: two metrics are two histograms, also where their labels agree. */
function ofHistograms(samples: readonly Sample[], of: (buckets: readonly Bucket[]) => number): Sample[] {
  const groups = new Map<string, { labels: Labels; buckets: Bucket[] }>();
  for (const { labels, value } of samples) {
    const bound = boundOf(labels.get('le'));
    if (bound === undefined) continue;
    const rest = dropLabels(labels, LE);
    const key = labelsKey(rest);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { labels: dropName(rest), buckets: [] }));
    group.buckets.push({ bound, count: value });
  }
  return [...groups.values()].map(({ labels, buckets }) => ({ labels, value: of(buckets) }));
}

function boundOf(le: string | undefined): number | undefined {
  if (le === undefined || le.trim() === '') return undefined;
  const bound = /^\+?inf$/i.test(le) ? Infinity : Number(le);
  return Number.isNaN(bound) ? undefined : bound;
}

function bucketQuantile(q: number, unsorted: readonly Bucket[]): number {
  if (Number.isNaN(q)) return Number.NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const buckets = mergeEqualBounds(unsorted.toSorted((a, b) => a.bound - b.bound));
  ensureMonotonic(buckets);
  const top = buckets.at(-1) as Bucket;
  // Without +Inf the number of observations is unknown.
  if (top.bound !== Infinity || buckets.length < 2 || !(top.count > 0)) return Number.NaN;
  const rank = q * top.count;
  const i = buckets.findIndex((bucket, i) => i === buckets.length - 1 || bucket.count >= rank);
  if (i === buckets.length - 1) return (buckets[i - 1] as Bucket).bound;
  const { bound, count } = buckets[i] as Bucket;
  if (i === 0 && bound <= 0) return bound;
  const below = buckets[i - 1];
  const start = below?.bound ?? 0;
  const before = below?.count ?? 0;
  return start + (bound - start) * ((rank - before) / (count - before));
}

function bucketFraction(lower: number, upper: number, unsorted: readonly Bucket[]): number {
  const buckets = mergeEqualBounds(unsorted.toSorted((a, b) => a.bound - b.bound));
  const top = buckets.at(-1) as Bucket;
  const isNumber = !Number.isNaN(lower) && !Number.isNaN(upper);
  if (top.bound !== Infinity || top.count === 0 || !isNumber) return Number.NaN;
  if (lower >= upper) return 0;
  return (rankOf(upper, buckets) - rankOf(lower, buckets)) / top.count;
}

/** How many observations are not above `value`, linear within a bucket. */
function rankOf(value: number, buckets: readonly Bucket[]): number {
  let [below, bound] = [0, (buckets[0] as Bucket).bound > 0 ? 0 : -Infinity];
  for (const bucket of buckets) {
    if (value <= bound) return below;
    if (value < bucket.bound) {
      // In a bucket without a lower end all observations are taken to lie at its upper one.
      if (bound === -Infinity) return bucket.count;
      return below + ((bucket.count - below) * (value - bound)) / (bucket.bound - bound);
    }
    below = bucket.count;
    bound = bucket.bound;
  }
  return below;
}

/** `le="1"` and `le="1.0"` of two versions of a program are one bucket. */
function mergeEqualBounds(sorted: readonly Bucket[]): Bucket[] {
  const merged: Bucket[] = [];
  for (const bucket of sorted) {
    const previous = merged.at(-1);
    if (previous?.bound === bucket.bound) previous.count += bucket.count;
    else merged.push({ ...bucket });
  }
  return merged;
}

/** Buckets scraped in the middle of an observation may fall a little where they cannot. */
function ensureMonotonic(buckets: Bucket[]): void {
  let highest = -Infinity;
  for (const bucket of buckets) {
    if (bucket.count < highest) bucket.count = highest;
    else if (bucket.count > highest) highest = bucket.count;
  }
}
