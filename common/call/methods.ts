/** Which methods may reach a function twice without harm. The one table of both hops, of the relay and of HTTP/2. */

/** RFC 9110, section 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** @param method in capitals, as it stands in the request line */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Whether a function may see this call twice: its method allows it, or the caller has named it by a key. */
export function mayRunTwice(method: string, hasIdempotencyKey: boolean): boolean {
  return hasIdempotencyKey || IDEMPOTENT.has(method);
}
