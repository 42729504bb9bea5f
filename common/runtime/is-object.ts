/** @returns whether a value of parsed JSON is an object: neither null nor an array */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
