/**
 * Header fields between HTTP/1.1 and HTTP/2. Names are lower-case there, what concerns one hop does not exist,
 * and the host travels as `:authority`. Values pass byte for byte.
 */
import { fieldKind } from '../relay/wire/fields.ts';
import type { RawHeaders } from '../relay/types.ts';

/** Java's HttpClient sends it beside its offer of `Upgrade: h2c`; in HTTP/2 it does not exist, and Node throws. */
function isEndToEnd(name: string): boolean {
  return name.length !== 14 || name.toLowerCase() !== 'http2-settings';
}

/** Appended to `out`, which holds the pseudo headers: end-to-end fields without Host and the framing. */
export function pushFields(out: string[], headers: RawHeaders): string[] {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    switch (fieldKind(name)) {
      case 'other':
        if (isEndToEnd(name)) out.push(name.toLowerCase(), value);
        break;
      case 'expect':
      case 'content-length':
        out.push(name.toLowerCase(), value);
        break;
      case 'te':
        out.push('te', 'trailers'); // the only value that HTTP/2 allows; `serveHead` kept no other
    }
  }
  return out;
}

/** For the places where Node takes an object only (trailers, 1xx); of a repeated name all values are kept. */
export function fieldObject(headers: RawHeaders): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    if (fieldKind(name) !== 'other' || !isEndToEnd(name)) continue;
    const value = headers[i + 1] as string;
    const before = out[name];
    if (before === undefined) out[name] = value;
    else out[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return out;
}

/** `application/grpc`, `application/grpc+proto`, `application/grpc-web+json` … */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType?.toLowerCase().startsWith('application/grpc') === true;
}
