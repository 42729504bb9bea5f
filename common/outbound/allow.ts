/**
 * Whether a URL that a caller or a tenant wrote may be connected to: a list of an operator's flag, read once. Pure. An
 * entry is
 * - a name, `hooks.example.com` or `*.example.com` (any name below it), or `*`: any port, public addresses only;
 * - a name with a port, `receiver.shop.svc:8080`: that port, in the private network too;
 * - an address or a range, `10.1.2.3`, `10.1.2.3:8080`, `10.1.0.0/16` or `::1`. It allows URLs that name such an
 *   address. Without a port it also allows names that are allowed and resolve to it. Nothing else makes loopback,
 *   link-local and metadata addresses reachable.
 *
 * Room `common/outbound`: Connections to where a URL of somebody else leads.
 * Comes in: a URL, an operator's list.
 * Goes out: an address that was judged, or why not.
 */
import { isIP } from 'node:net';
import { UsageError } from '../../common/runtime/errors.ts';
import { addressKind, contains, ranges, type Ranges } from './address.ts';

interface NameEntry {
  /** In lower case; starts with a dot for names below it; empty for every name. */
  readonly name: string;
  readonly port: number | undefined;
}

/** Whether it may be connected to, or why not. */
export type UrlPermission =
  { readonly isAllowed: true } | { readonly isAllowed: false; readonly why: string };

const YES: UrlPermission = { isAllowed: true };
const URL_MAX = 2_048;

export class UrlAllow {
  readonly #names: readonly NameEntry[];
  readonly #addresses: Ranges;
  readonly isOff: boolean;
  readonly #flag: string;

  readonly #isInside: (host: string) => boolean;

  /**
   * @param flag the flag that holds the entries
   * @param isInside says which names need no entry. They are allowed on each port, in the private network too.
   * @throws UsageError that names the bad entry
   */
  constructor(entries: readonly string[], flag = 'callback-allow', isInside?: (host: string) => boolean) {
    this.#flag = flag;
    this.#isInside = isInside ?? (() => false);
    const addresses = entries.filter((entry) => isIP(entry.split('/')[0] as string) !== 0);
    this.#names = entries
      .filter((entry) => !addresses.includes(entry))
      .map((entry) => parseName(entry, flag));
    this.#addresses = parseRanges(addresses, flag);
    this.isOff = entries.length === 0 && isInside === undefined;
  }

  /** The URL itself, with nothing resolved. @returns the URL, or why it is refused */
  url(text: string): URL | string {
    if (this.isOff) return `no URL is allowed (--${this.#flag} is empty)`;
    if (text.length > URL_MAX) return `a URL may have ${URL_MAX} characters`;
    const url = URL.parse(text);
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
      return 'it must be an absolute http or https URL';
    if (url.username !== '' || url.password !== '') return 'it must hold no user and no password';
    const host = hostOf(url);
    if (isIP(host) !== 0) {
      const verdict = this.#literal(url);
      return verdict.isAllowed ? url : verdict.why;
    }
    const isListed = this.#isInside(host) || this.#entriesOf(url).length > 0;
    return isListed ? url : `${host} is not in --${this.#flag}`;
  }

  /** An address that the host of an allowed URL stands for. */
  address(url: URL, address: string): UrlPermission {
    if (isIP(hostOf(url)) !== 0) return this.#literal(url);
    const kind = addressKind(address);
    if (kind === 'public' || contains(this.#addresses, address)) return YES;
    if (kind === 'private' && this.#isInside(hostOf(url))) return YES;
    if (kind === 'private' && this.#entriesOf(url).some(({ port }) => port !== undefined)) return YES;
    return notAllowed(`${hostOf(url)} is at ${address}, which is ${kind} and not in --${this.#flag}`);
  }

  #literal(url: URL): UrlPermission {
    const address = hostOf(url);
    const entries = this.#entriesOf(url);
    const isNamed = contains(this.#addresses, address) || entries.some(({ name }) => name === address);
    if (isNamed || (addressKind(address) === 'public' && entries.length > 0)) return YES;
    return notAllowed(`${address} is not in --${this.#flag}`);
  }

  #entriesOf(url: URL): NameEntry[] {
    const host = hostOf(url);
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
    return this.#names.filter(({ name, port: wanted }) => {
      if (wanted !== undefined && wanted !== port) return false;
      return name === '' || host === name || (name.startsWith('.') && host.endsWith(name));
    });
  }
}

/** Without brackets and without the root's dot: `::1`, `example.com`. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

function notAllowed(why: string): UrlPermission {
  return { isAllowed: false, why };
}

function parseName(entry: string, flag: string): NameEntry {
  const match = NAME.exec(entry.toLowerCase());
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  const name = match?.[1] ?? '';
  if (!match || port === 0 || (port ?? 0) > 65_535) throw bad(entry, flag);
  if (!name.startsWith('[')) return { name: name.replace(/^\*/, ''), port };
  const url = URL.parse(`http://${name}`); // `[0:0::1]` is written as a URL has it
  if (!url) throw bad(entry, flag);
  return { name: hostOf(url), port };
}

/** A star, a name, an address in brackets; and a port. */
const NAME = /^(\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/;

function parseRanges(entries: readonly string[], flag: string): Ranges {
  for (const entry of entries) {
    try {
      if (/\/(?!\d{1,3}$)/.test(entry)) throw bad(entry, flag);
      ranges([entry]);
    } catch {
      throw bad(entry, flag);
    }
  }
  return ranges(entries);
}

function bad(entry: string, flag: string): UsageError {
  const forms = 'hooks.example.com, *.example.com, receiver.shop.svc:8080, 10.1.0.0/16 or *';
  return new UsageError(`--${flag}: ${JSON.stringify(entry)} is not allowed; use entries like ${forms}`);
}
