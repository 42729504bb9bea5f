/**
 * Who calls from inside: the peer is a pod that we watch and trust, and so is every address that it says it
 * forwards for. Anyone can write X-Forwarded-For, so it can only take trust away. A connection from outside (outside.ts) is
 * never trusted, whatever its address.
 */

import { isOutside } from './outside.ts';

/** The part of a request that tells its origin. Node's requests and HTTP/2 streams both have it. */
export interface CallerFacts {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export type IsInside = (req: CallerFacts) => boolean;

export function createTrust(pods: { isTrustedAddress(ip: string): boolean }): IsInside {
  return (req) => {
    const peer = req.socket.remoteAddress;
    if (isOutside(req.socket)) return false;
    if (peer === undefined || !pods.isTrustedAddress(plainAddress(peer))) return false;
    const forwarded = req.headers['x-forwarded-for'];
    if (forwarded === undefined) return true;
    const list = Array.isArray(forwarded) ? forwarded.join(',') : forwarded;
    return list.split(',').every((address) => pods.isTrustedAddress(plainAddress(address.trim())));
  };
}

/** `::ffff:10.0.0.1`, as a dual-stack socket reports an IPv4 peer, is 10.0.0.1. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
