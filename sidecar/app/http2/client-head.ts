/** Between the relay's heads, which are HTTP/1.1's, and an HTTP/2 stream that we open ourselves. Pure. */
import { http } from '../../../common/runtime/node-http.ts';
import { fieldKind, headerValue } from '../../../common/relay/wire/fields.ts';
import type { RawHeaders, RequestHead, ResponseHead, RelayTarget } from '../../../common/relay/types.ts';
import { isGrpc, pushFields } from '../../../common/http2/fields.ts';

/** For `session.request`. */
export function requestFields(head: RequestHead, target: RelayTarget): string[] {
  const authority = headerValue(head.headers, 'host') ?? `${target.host}:${target.port}`;
  const pseudo = [':method', head.method, ':scheme', 'http', ':authority', authority, ':path', head.path];
  return pushFields(pseudo, head.headers);
}

/** Header list of an answer, as Node gives it, to a head with the framing that HTTP/1.1 needs. */
export function responseHead(raw: RawHeaders, { hasEnded, isHead }: AnswerFacts): ResponseHead {
  const status = statusOf(raw);
  const headers: string[] = [];
  const isBare = isHead || status === 204 || status === 304;
  let hasLength = false;
  const mayHaveTrailers = !hasEnded && isGrpc(headerValue(raw, 'content-type'));
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.charCodeAt(0) === 0x3a) continue;
    const kind = fieldKind(name);
    if (kind === 'content-length') {
      // gRPC's status comes behind the body; HTTP/1.1 can say it there only when the body is chunked.
      if (mayHaveTrailers) continue;
      hasLength = true;
    } else if (kind !== 'other') continue;
    headers.push(name, raw[i + 1] as string);
  }
  // Ended with its headers: to be said in a way that survives the next hop (gRPC's "trailers only").
  if (hasEnded && !hasLength && !isBare) headers.push('content-length', '0');
  else if (!hasLength && !isBare) headers.push('transfer-encoding', 'chunked');
  return { status, statusText: http.STATUS_CODES[status] ?? '', headers };
}

/** How much body must follow; undefined: it does not say. */
export function promisedLength({ status, headers }: ResponseHead, isHead: boolean): number | undefined {
  const length = isHead || status === 304 ? undefined : headerValue(headers, 'content-length');
  return length === undefined ? undefined : Number(length);
}

export interface AnswerFacts {
  /** END_STREAM came with the headers. */
  readonly hasEnded: boolean;
  /** It answers a HEAD. */
  readonly isHead: boolean;
}

export function informationalHead(raw: RawHeaders): ResponseHead {
  const status = statusOf(raw);
  const headers: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.charCodeAt(0) !== 0x3a && fieldKind(name) === 'other') headers.push(name, raw[i + 1] as string);
  }
  return { status, statusText: http.STATUS_CODES[status] ?? '', headers };
}

function statusOf(raw: RawHeaders): number {
  return Number(headerValue(raw, ':status') ?? 0);
}
