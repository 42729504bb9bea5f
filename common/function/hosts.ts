/**
 * Which function a Host header means: `slimfaas.dev/hosts`. A function claims a host, or all names below one
 * (`*.example.com`), with a path prefix if it wants only a part. The most exact host wins, then the longest prefix.
 * What two functions claim belongs to the older one, so a newcomer takes nothing away. Which hosts may be claimed,
 * and by which namespace, is the operator's to say ({@link HostPolicy}): by default none. Pure.
 */
import { UsageError } from '../runtime/errors.ts';
import type { FunctionId } from '../bus/subjects.ts';
import type { HostRule } from './spec.ts';

/** Characters of a name in DNS. */
const MAX_NAME = 253;
const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const HOST = new RegExp(`^(\\*\\.)?${LABEL}(\\.${LABEL})*$`);

/** A name in lower case, or `*.` before one; no address, no port. */
export function isHostPattern(text: string): boolean {
  // A name whose last label is a number would be read as an IPv4 address.
  return text.length <= MAX_NAME && HOST.test(text) && !/(^|\.)\d+$/.test(text);
}

/** Whether a pattern means this host, or all that the host, itself a pattern, means. */
function covers(pattern: string, host: string): boolean {
  return pattern === '*' || pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
}

interface Allowed {
  readonly pattern: string;
  /** undefined: any namespace's. */
  readonly namespace: string | undefined;
}

/** Which hosts functions may claim: items of `--function-hosts`, each `[namespace=]pattern`. */
export class HostPolicy {
  readonly #allowed: readonly Allowed[];

  /** @throws UsageError naming the item that is none */
  constructor(items: readonly string[]) {
    this.#allowed = items.map((item) => {
      const [, namespace, pattern = ''] = /^(?:([^=]*)=)?(.*)$/s.exec(item) ?? [];
      const isName = namespace === undefined || new RegExp(`^${LABEL}$`).test(namespace);
      if (isName && (pattern === '*' || isHostPattern(pattern))) return { pattern, namespace };
      const allowed = 'allowed: [namespace=]host, where host is shop.example.com, *.example.com or *';
      throw new UsageError(`--function-hosts: ${JSON.stringify(item)} is not allowed; ${allowed}`);
    });
  }

  /** A host that is given to namespaces by name is theirs alone, whatever all may have. */
  allows(namespace: string, host: string): boolean {
    const covering = this.#allowed.filter(({ pattern }) => covers(pattern, host));
    const given = covering.filter((allowed) => allowed.namespace !== undefined);
    if (given.length > 0) return given.some((allowed) => allowed.namespace === namespace);
    return covering.length > 0;
  }
}

/** A function that claims hosts. */
export interface HostOwner {
  readonly id: FunctionId;
  readonly createdAtMs: number;
  readonly hosts: readonly HostRule[];
}

interface Claim<T extends HostOwner> extends HostRule {
  readonly owner: T;
}

/** The claims of all functions. It is small: functions without hosts are not in it. */
export class HostTable<T extends HostOwner> {
  readonly #policy: HostPolicy;
  /** By host; longest prefix first, then the oldest. */
  readonly #claims = new Map<string, Claim<T>[]>();

  constructor(policy: HostPolicy) {
    this.#policy = policy;
  }

  get isEmpty(): boolean {
    return this.#claims.size === 0;
  }

  add(owner: T): void {
    for (const rule of owner.hosts) {
      if (!this.#policy.allows(owner.id.namespace, rule.host)) continue;
      const claims = [...(this.#claims.get(rule.host) ?? []), { ...rule, owner }];
      this.#claims.set(rule.host, claims.toSorted(byPrecedence));
    }
  }

  remove(owner: T): void {
    for (const { host } of owner.hosts) {
      const claims = this.#claims.get(host)?.filter((claim) => claim.owner !== owner) ?? [];
      if (claims.length > 0) this.#claims.set(host, claims);
      else this.#claims.delete(host);
    }
  }

  /**
   * @param header of the request, a port at its end included
   * @param path with its query
   */
  find(header: string | undefined, path: string): T | undefined {
    if (this.isEmpty || header === undefined) return undefined;
    const host = plainHost(header);
    // No name is longer, and each of its labels costs a look.
    if (host.length > MAX_NAME) return undefined;
    const exact = this.#match(host, path, host);
    if (exact) return exact;
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const found = this.#match(`*${host.slice(dot)}`, path, host);
      if (found) return found;
    }
    return undefined;
  }

  /** Who has a claim of this function's, because it is older. */
  ownerBefore(owner: T, { host, prefix }: HostRule): T | undefined {
    const first = this.#claims.get(host)?.find((claim) => claim.prefix === prefix)?.owner;
    return first === owner ? undefined : first;
  }

  #match(claimed: string, path: string, host: string): T | undefined {
    const claims = this.#claims.get(claimed);
    // Below what all may claim, a name may be one namespace's alone. An exact claim was checked when it was added.
    return claims?.find(
      ({ prefix, owner }) =>
        isBelow(path, prefix) && (claimed === host || this.#policy.allows(owner.id.namespace, host)),
    )?.owner;
  }
}

/** Lower case, without port and without the dot of the root. */
function plainHost(header: string): string {
  const colon = header.lastIndexOf(':');
  const host = (colon < 0 ? header : header.slice(0, colon)).toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

/** By whole segments: `/api` means `/api`, `/api/x` and `/api?x`, and not `/apis`. */
function isBelow(path: string, prefix: string): boolean {
  if (prefix === '/') return true;
  if (!path.startsWith(prefix)) return false;
  const next = path[prefix.length];
  return next === undefined || next === '/' || next === '?';
}

function byPrecedence(a: Claim<HostOwner>, b: Claim<HostOwner>): number {
  const byLength = b.prefix.length - a.prefix.length;
  return byLength || a.owner.createdAtMs - b.owner.createdAtMs || (keyOf(a) < keyOf(b) ? -1 : 1);
}

function keyOf({ owner: { id } }: Claim<HostOwner>): string {
  return `${id.namespace}/${id.name}`;
}
