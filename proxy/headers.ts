/**
 * The headers that a call takes to its function: as the caller wrote them, in order and case, but for the
 * internal ones (`slimfaas-*`, which a caller must not forge) and for what a proxy adds about where the call
 * came from. One pass, because it runs for every call. Pure.
 */
import { HEADER } from '../common/names.ts';
import type { RawHeaders } from '../common/relay/types.ts';
import type { Ids } from './ids.ts';

export interface CallOrigin {
  /** The peer's address; empty when it has gone. */
  readonly address: string;
  readonly isTls: boolean;
}

/** Whether it came over the TLS port: only a TLSSocket has the field. */
export function isEncrypted(socket: object): boolean {
  return (socket as { encrypted?: unknown }).encrypted === true;
}

/** @param headers end-to-end headers only */
export function forwardHeaders(headers: RawHeaders, origin: CallOrigin, ids: Ids): string[] {
  const out: string[] = [];
  let forwardedFor = -1;
  let host: string | undefined;
  let hasProto = false;
  let hasHost = false;
  let hasTrace = false;
  let hasId = false;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    if (lower.startsWith('slimfaas-')) continue;
    if (lower === 'x-forwarded-for') forwardedFor = out.length + 1;
    else if (lower === 'x-forwarded-proto') hasProto = true;
    else if (lower === 'x-forwarded-host') hasHost = true;
    else if (lower === 'traceparent') hasTrace = true;
    else if (lower === 'x-request-id') hasId = true;
    else if (lower === 'host') host ??= headers[i + 1];
    out.push(name, headers[i + 1] as string);
  }
  // Appended to the last one there is: whoever reads the list from the right meets us first.
  if (forwardedFor > 0) out[forwardedFor] = `${out[forwardedFor]}, ${origin.address}`;
  else out.push('X-Forwarded-For', origin.address);
  if (!hasProto) out.push('X-Forwarded-Proto', origin.isTls ? 'https' : 'http');
  if (!hasHost && host !== undefined) out.push('X-Forwarded-Host', host);
  if (!hasTrace) out.push('traceparent', ids.traceparent());
  if (!hasId) out.push('X-Request-Id', ids.requestId());
  return out;
}

/** To a sidecar: "refuse me rather than queue me, I have a queue of my own". */
export function withoutQueueing(headers: readonly string[]): string[] {
  return [...headers, HEADER.queue, 'none'];
}

/** `running/limit` of a sidecar; undefined for anything else. */
export function parseLoad(text: string | undefined): { running: number; limit: number } | undefined {
  const match = text === undefined ? null : /^(\d{1,9})\/(\d{1,9})$/.exec(text);
  return match ? { running: Number(match[1]), limit: Number(match[2]) } : undefined;
}
