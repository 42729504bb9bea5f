/**
 * The address that a caller is known by. Behind a load balancer of our own the peer is the balancer, and the caller is
 * what it wrote last into X-Forwarded-For. Anybody can write that header, so only the operator's own balancers are
 * believed. IPv6 callers are known by their /64, because one machine has all of its addresses. Pure.
 */
import { isIP, isIPv6 } from 'node:net';
import { UsageError } from '../../common/runtime/errors.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { plainAddress } from '../edge/trust.ts';
import { contains, ranges, type Ranges } from '../../common/outbound/address.ts';

/** @throws UsageError naming the flag and the entry */
export function readRanges(flag: string, entries: readonly string[]): Ranges | undefined {
  for (const entry of entries) {
    try {
      if (/\/(?!\d{1,3}$)/.test(entry)) throw new Error('no range');
      ranges([entry]);
    } catch {
      const forms = 'addresses and ranges like 10.1.2.3, 10.1.0.0/16 or fd00::/8';
      throw new UsageError(`--${flag}: ${JSON.stringify(entry)} is not allowed; use ${forms}`);
    }
  }
  return entries.length === 0 ? undefined : ranges(entries);
}

/** @param balancers whose X-Forwarded-For is believed */
export function callerAddress(peer: string, headers: RawHeaders, balancers: Ranges | undefined): string {
  if (!balancers || !contains(balancers, peer)) return network(peer);
  const list: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if ((headers[i] as string).toLowerCase() === 'x-forwarded-for') list.push(headers[i + 1] as string);
  }
  const hops = list
    .join(',')
    .split(',')
    .map((hop) => hop.trim());
  for (const hop of hops.toReversed()) {
    const address = addressOf(hop);
    // What stands left of it was written by the caller, and may be anything.
    if (address === undefined) break;
    if (!contains(balancers, address)) return network(address);
  }
  return network(peer);
}

/** Reads `1.2.3.4`, `1.2.3.4:5678`, `::1`, `[::1]` and `[::1]:5678`; undefined for what is no address. */
function addressOf(hop: string): string | undefined {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
  const address = plainAddress(bare);
  return isIP(address) === 0 ? undefined : address;
}

function network(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const words = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? 0 : tail.split(':').length;
  if (tail !== undefined) words.push(...Array<string>(Math.max(0, 8 - words.length - after)).fill('0'));
  return `${words
    .slice(0, 4)
    .map((word) => word.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
