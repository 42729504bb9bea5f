/**
 * What kind of place an IP address is, so that a URL from a stranger is not posted to from inside the cluster. An
 * IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4) is what that one is. Pure. It knows the ranges that are
 * reserved, and the metadata services that are not in one. Only a network policy can know what else an operator holds
 * private behind public addresses.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * `private`: other machines of the same network. `local`: this machine, its link, its cloud's metadata service, and
 * whatever is no address of a single machine.
 */
export type AddressKind = 'public' | 'private' | 'local';

const LOCAL = ranges([
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, and the metadata service of most clouds
  '168.63.129.16/32', // Azure's, on a public address
  '100.100.100.200/32', // Alibaba's, in the shared range
  '192.0.0.0/24', // IETF protocols; Oracle's metadata service
  '192.0.2.0/24',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '192.88.99.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/8', // unspecified, loopback, IPv4-compatible; mapped ones are unwrapped before
  '64:ff9b:1::/48', // NAT64 of a local network: what it leads to is not written in it
  '100::/8', // discard-only
  '2001::/23', // IETF protocols, Teredo among them
  '2001:db8::/32',
  '3fff::/20', // documentation
  '5f00::/16', // segment routing
  'fd00:ec2::/32', // AWS's metadata service
  'fd20:ce::254/128', // Google's
  'fd00:c1::a9fe:a9fe/128', // Oracle's
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]);

const PRIVATE = ranges([
  '10.0.0.0/8',
  '100.64.0.0/10',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '198.18.0.0/15',
  'fc00::/7',
]);

/** @param address as `net` or a resolver gives it; anything else is `local`, because it must not be connected to */
export function addressKind(address: string): AddressKind {
  const plain = unwrap(address);
  if (plain === undefined || contains(LOCAL, plain)) return 'local';
  return contains(PRIVATE, plain) ? 'private' : 'public';
}

/** One list a family: to a BlockList of both, `::/8` would hold every IPv4 address. */
export interface Ranges {
  readonly ipv4: BlockList;
  readonly ipv6: BlockList;
}

/** @param entries `address` or `address/bits` each. @throws when one is neither */
export function ranges(entries: readonly string[]): Ranges {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = familyOf(address);
    if (bits === undefined) lists[family].addAddress(address, family);
    else lists[family].addSubnet(address, Number(bits), family);
  }
  return lists;
}

/** Also an IPv6 address that carries an IPv4 address of the list. */
export function contains(lists: Ranges, address: string): boolean {
  const plain = unwrap(address);
  if (plain === undefined) return false;
  const family = familyOf(plain);
  return lists[family].check(plain, family);
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}

function unwrap(address: string): string | undefined {
  const bare = address.split('%')[0] as string; // `fe80::1%eth0`
  if (isIPv4(bare)) return bare;
  if (!isIPv6(bare)) return undefined;
  const words = wordsOf(bare);
  const startsWith = (...wanted: number[]): boolean => wanted.every((word, i) => words[i] === word);
  const isMapped = startsWith(0, 0, 0, 0, 0, 0xffff) || startsWith(0, 0, 0, 0, 0xffff, 0);
  if (isMapped || startsWith(0x64, 0xff9b, 0, 0, 0, 0)) return ipv4Of(words[6], words[7]);
  if (startsWith(0x2002)) return ipv4Of(words[1], words[2]);
  return bare;
}

function ipv4Of(high = 0, low = 0): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** The eight words of a valid IPv6 address. */
function wordsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const [, before = '', a = 0, b = 0, c = 0, d = 0] = dotted ?? [];
  const hex = (high: unknown, low: unknown): string => (Number(high) * 256 + Number(low)).toString(16);
  const text = dotted ? `${before}${hex(a, b)}:${hex(c, d)}` : address;
  const [head = '', tail] = text.split('::');
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((w) => parseInt(w, 16)));
  const [left, right] = [words(head), words(tail ?? '')];
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}
