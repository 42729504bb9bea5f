/** `histogram_quantile` over classic buckets (`le` labels), by Prometheus's algorithm. */
import { dropLabels, labelsKey, METRIC_NAME, type Labels } from './labels.ts';
import type { Sample } from './values.ts';

interface Bucket {
  readonly bound: number;
  count: number;
}

const NOT_IDENTITY = ['le', METRIC_NAME];

export function histogramQuantile(q: number, samples: readonly Sample[]): Sample[] {
  const groups = new Map<string, { labels: Labels; buckets: Bucket[] }>();
  for (const { labels, value } of samples) {
    const bound = boundOf(labels.get('le'));
    if (bound === undefined) continue;
    const rest = dropLabels(labels, NOT_IDENTITY);
    const key = labelsKey(rest);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { labels: rest, buckets: [] }));
    group.buckets.push({ bound, count: value });
  }
  return [...groups.values()].map(({ labels, buckets }) => ({ labels, value: bucketQuantile(q, buckets) }));
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
