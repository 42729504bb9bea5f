/**
 * The headers that a call takes to its function: as the caller wrote them, in order and case. The internal ones
 * (`slimfaas-*`, which a caller must not forge) are left out, and so are other spellings that a server folds
 * into ours: `SlimFaas_Element_Id`, `X_Forwarded_For`. What a proxy adds about the call's origin is put in. One pass,
 * because it runs for every call. Pure.
 */
import type { Socket } from 'node:net';
import { HEADER } from '../../common/function/names.ts';
import { parseLength } from '../../common/relay/wire/grammar.ts';
import { foldField, isOwnField } from '../../common/relay/wire/own-fields.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import type { Ids } from './ids.ts';
import type { PodPlace } from '../pods/pod-group.ts';
import { plainAddress } from './trust.ts';

export interface CallOrigin {
  /** The peer's address; empty when it has gone. */
  readonly address: string;
  readonly isTls: boolean;
  /** What the function's path was cut from, `/function/fib`; empty: nothing. */
  readonly prefix: string;
}

/** Whether it came over the TLS port: only a TLSSocket has the field. */
export function isEncrypted(socket: object): boolean {
  return (socket as { encrypted?: unknown }).encrypted === true;
}

/** What the peer of a request's connection tells of the caller. */
export function originOf(socket: Socket, prefix: string): CallOrigin {
  return { address: plainAddress(socket.remoteAddress ?? ''), isTls: isEncrypted(socket), prefix };
}

/** @param headers end-to-end headers only */
export function forwardHeaders(headers: RawHeaders, origin: CallOrigin, ids: Ids): string[] {
  const out: string[] = [];
  let forwardedFor = -1;
  let forwardedPrefix = -1;
  let host: string | undefined;
  let found = 0;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const own = ownField(name);
    if (own === INTERNAL) continue;
    if (own === HOST) host ??= headers[i + 1];
    else if (own === FORWARDED_FOR) forwardedFor = out.length + 1;
    else if (own === FORWARDED_PREFIX) forwardedPrefix = out.length + 1;
    found |= own;
    out.push(name, headers[i + 1] as string);
  }
  // Appended to the last one there is: a reader from the right meets us first.
  if (forwardedFor > 0) out[forwardedFor] = `${out[forwardedFor]}, ${origin.address}`;
  else out.push('X-Forwarded-For', origin.address);
  // What a gateway before us has cut off stands before what we cut off.
  if (forwardedPrefix > 0)
    out[forwardedPrefix] = `${out[forwardedPrefix]?.replace(/\/$/, '')}${origin.prefix}`;
  else if (origin.prefix !== '') out.push('X-Forwarded-Prefix', origin.prefix);
  if ((found & PROTO) === 0) out.push('X-Forwarded-Proto', origin.isTls ? 'https' : 'http');
  if ((found & FORWARDED_HOST) === 0 && host !== undefined) out.push('X-Forwarded-Host', host);
  if ((found & REQUEST_ID) === 0) out.push('X-Request-Id', ids.requestId());
  return out;
}

/** Headers that mean something here, as bits. */
const INTERNAL = 1;
const HOST = 2;
const FORWARDED_FOR = 4;
const PROTO = 8;
const FORWARDED_HOST = 16;
const REQUEST_ID = 32;
const FORWARDED_PREFIX = 64;

/** 0 for the caller's own, which the first letter tells of most. */
function ownField(name: string): number {
  switch (name.charCodeAt(0) | 0x20) {
    case 0x68: // h
      return name.length === 4 && name.toLowerCase() === 'host' ? HOST : 0;
    case 0x73: // s
      return isOwnField(name) ? INTERNAL : 0;
    case 0x78: // x
      return X_FIELDS.get(name.toLowerCase()) ?? (X_FIELDS.has(foldField(name)) ? INTERNAL : 0);
    default:
      return 0;
  }
}

const X_FIELDS: ReadonlyMap<string, number> = new Map([
  ['x-forwarded-for', FORWARDED_FOR],
  ['x-forwarded-proto', PROTO],
  ['x-forwarded-host', FORWARDED_HOST],
  ['x-request-id', REQUEST_ID],
  ['x-forwarded-prefix', FORWARDED_PREFIX],
]);

/**
 * To a sidecar: refuse instead of queueing, because the proxy has a queue of its own. It also names the pod that is
 * meant, and the id under which the pod holds a place.
 */
export function forSidecar(headers: readonly string[], { endpoint, grant }: PodPlace): string[] {
  if (grant === undefined) return [...headers, ...endpoint.callHeaders];
  return [...headers, ...endpoint.callHeaders, HEADER.place, grant];
}

/** The same for a connection of its own, which proves that a proxy opens it. */
export function openingSidecar(headers: readonly string[], place: PodPlace): string[] {
  const { proof } = place.endpoint;
  const all = forSidecar(headers, place);
  return proof === undefined ? all : [...all, HEADER.proof, proof];
}

/** `running/limit` of a sidecar, each of at most nine digits; undefined for anything else. */
export function parseLoad(text: string | undefined): { running: number; limit: number } | undefined {
  const slash = text?.indexOf('/') ?? -1;
  if (text === undefined || slash > 9 || text.length - slash > 10) return undefined;
  const running = parseLength(text.slice(0, Math.max(0, slash)));
  const limit = parseLength(text.slice(slash + 1));
  return running < 0 || limit < 0 ? undefined : { running, limit };
}
