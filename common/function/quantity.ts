/** Quantities as Kubernetes writes them: `64Mi`, `100m`, `1e3`, `.5Gi`. */

const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A number with an exponent has no suffix. */
const QUANTITY = /^([-+]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][-+]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/;

/** `64Mi` → 67108864. Exact enough to compare two. Undefined for what an API server refuses. */
export function parseQuantity(text: string): number | undefined {
  const [, number, exponent = '', suffix = ''] = QUANTITY.exec(text) ?? [];
  return number === undefined ? undefined : Number(number + exponent) * (FACTORS[suffix] as number);
}
