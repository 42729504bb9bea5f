/**
 * Sums and what is made of sums. Naive addition loses small numbers beside large ones (1e100 + 2 − 1e100 gives 0). So
 * the rounding error of each step is kept and added at the end (Kahan's method in Neumaier's form).
 */

/** A running sum and what rounding has taken from it. */
class CompensatedSum {
  #sum = 0;
  #lost = 0;

  add(value: number): void {
    const total = this.#sum + value;
    if (!Number.isFinite(total)) this.#lost = 0;
    else if (Math.abs(this.#sum) >= Math.abs(value)) this.#lost += this.#sum - total + value;
    else this.#lost += value - total + this.#sum;
    this.#sum = total;
  }

  scale(factor: number): void {
    this.#sum *= factor;
    this.#lost *= factor;
  }

  get value(): number {
    return this.#sum + this.#lost;
  }
}

export function sum(values: readonly number[]): number {
  const total = new CompensatedSum();
  for (const value of values) total.add(value);
  return total.value;
}

/** Also where the sum itself is too large for a number: two times 1.7e308 have a mean. */
export function mean(values: readonly number[]): number {
  const total = sum(values);
  if (Number.isFinite(total) || !values.every(Number.isFinite)) return total / values.length;
  const running = new CompensatedSum();
  for (const [i, value] of values.entries()) {
    running.scale(i / (i + 1));
    running.add(value / (i + 1));
  }
  return running.value;
}

/** The population's variance, as in Prometheus; exactly 0 for equal values (Welford's method). */
export function variance(values: readonly number[]): number {
  const [average, squares] = [new CompensatedSum(), new CompensatedSum()];
  for (const [i, value] of values.entries()) {
    const delta = value - average.value;
    average.add(delta / (i + 1));
    squares.add(delta * (value - average.value));
  }
  return squares.value / values.length;
}

/** Linear between the two nearest ranks; below 0 and above 1 infinite. */
export function quantile(q: number, values: readonly number[]): number {
  if (values.length === 0 || Number.isNaN(q)) return Number.NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const sorted = values.toSorted((a, b) => (Number.isNaN(a) ? -1 : Number.isNaN(b) ? 1 : a - b));
  const rank = q * (sorted.length - 1);
  const lower = Math.floor(rank);
  const weight = rank - lower;
  const upper = Math.min(sorted.length - 1, lower + 1);
  return (sorted[lower] as number) * (1 - weight) + (sorted[upper] as number) * weight;
}

/** How far the values are from their median, as a median. */
export function medianDeviation(values: readonly number[]): number {
  const median = quantile(0.5, values);
  return quantile(
    0.5,
    values.map((value) => Math.abs(value - median)),
  );
}

/** Not-a-number loses against any number. */
export function extreme(values: readonly number[], isBetter: (a: number, b: number) => boolean): number {
  return values[extremeIndex(values, isBetter)] ?? Number.NaN;
}

/** Where it is; the first of several. */
export function extremeIndex(values: readonly number[], isBetter: (a: number, b: number) => boolean): number {
  let best = 0;
  for (const [i, value] of values.entries()) {
    const known = values[best] as number;
    if (isBetter(value, known) || (Number.isNaN(known) && !Number.isNaN(value))) best = i;
  }
  return best;
}
