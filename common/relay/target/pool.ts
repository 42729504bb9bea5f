/**
 * The connections to one target. Last in, first out: the warmest connection is used again, and what a burst
 * left over grows old at the bottom and is closed. Exchanges beyond `maxConnections` wait in order.
 */
import { Connection, type ConnectionLimits, type Keeper, type Tenant } from './connection.ts';
import type { TargetPool } from './target-relay.ts';
import type { RelayTarget } from '../types.ts';

export interface PoolLimits extends ConnectionLimits {
  readonly maxConnections: number;
  readonly maxIdle: number;
  readonly idleMs: number;
}

/** A server that announces `Keep-Alive: timeout=5` may close at five seconds sharp: be gone before. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
/**
 * A request that must not be sent twice takes no connection that has been idle for longer. Servers that close idle
 * connections early without a notice do it after two seconds (gunicorn) or more. A new connection costs a tenth of a
 * millisecond.
 */
const MAX_IDLE_FOR_UNREPEATABLE_MS = 1_000;
/**
 * An upstream that was seen to close an idle connection will do so again after the same time. A request that must not
 * be sent twice keeps clear of it by so much: the clock's coarseness, and the way to us.
 */
const CLOSING_MARGIN_MS = 100;
/** What was seen counts for so long: an upstream that ended closed its connections too, and says nothing of the next. */
const SEEN_FOR_MS = 600_000;

export class Pool implements Keeper, TargetPool {
  readonly target: RelayTarget;
  readonly #limits: PoolLimits;
  readonly #idle: Connection[] = [];
  /** In order of arrival: a Set keeps it, and lets the one who gives up leave at no cost. */
  readonly #waiters = new Set<Tenant>();
  #open = 0;
  #connecting = 0;
  #isGone = false;
  /** The shortest time after which the upstream closed an idle connection, and when that was. */
  #closedAfterMs = Infinity;
  #closedAt = 0;
  /** Clock time of the last look. */
  #now = 0;
  opened = 0;

  constructor(target: RelayTarget, limits: PoolLimits) {
    this.target = target;
    this.#limits = limits;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get connectingCount(): number {
    return this.#connecting;
  }

  get busyCount(): number {
    return this.#open - this.#idle.length - this.#connecting;
  }

  get waitingCount(): number {
    return this.#waiters.size;
  }

  get isEmpty(): boolean {
    return this.#open === 0 && this.#waiters.size === 0;
  }

  /** An idle connection for use now; undefined: {@link open} one. */
  reuse(now: number, isRepeatable: boolean): Connection | undefined {
    this.#now = now;
    const connection = this.#idle.at(-1);
    if (!connection) return undefined;
    const age = now - connection.idleSince;
    if (age >= connection.keepAliveMs) {
      this.sweep(now);
      return undefined;
    }
    if (!isRepeatable && age > this.#longestIdle(now)) return undefined;
    this.#idle.pop();
    return connection;
  }

  /**
   * A new connection for the tenant, now or when there is a place; the tenant hears of it.
   * @returns the connection that is being made, or undefined when the tenant waits
   */
  open(tenant: Tenant): Connection | undefined {
    if (this.#open >= this.#limits.maxConnections && !this.#dropIdle()) {
      this.#waiters.add(tenant);
      return undefined;
    }
    this.#open++;
    this.#connecting++;
    this.opened++;
    return new Connection(this.target, tenant, this, this.#limits);
  }

  onEstablished(): void {
    this.#connecting--;
  }

  leave(tenant: Tenant): void {
    this.#waiters.delete(tenant);
  }

  /**
   * A connection whose exchange is over and that may serve another.
   * @param announcedMs the upstream's own idle limit; 0: it said nothing
   */
  release(connection: Connection, announcedMs: number, now: number): void {
    connection.rest(now);
    this.#now = now;
    const limit = this.#limits.idleMs;
    connection.keepAliveMs =
      announcedMs > 0 ? Math.min(limit, Math.max(0, announcedMs - KEEP_ALIVE_MARGIN_MS)) : limit;
    const waiter = this.#takeWaiter();
    if (waiter) waiter.onConnected(connection);
    else if (this.#isGone || this.#idle.length >= this.#limits.maxIdle || connection.keepAliveMs === 0)
      connection.close();
    else this.#idle.push(connection);
  }

  /** Closes what has been idle for too long. */
  sweep(now: number): void {
    this.#now = now;
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      const connection = this.#idle[i] as Connection;
      if (now - connection.idleSince < connection.keepAliveMs) continue;
      this.#idle.splice(i, 1);
      connection.close();
    }
  }

  /** No connection is kept from here on. */
  retire(): void {
    this.#isGone = true;
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  /** The upstream has closed a connection that had been idle since then, or meets our next request with its end. */
  sawClosing(idleSince: number): void {
    const now = this.#now;
    if (now - this.#closedAt > SEEN_FOR_MS) this.#closedAfterMs = Infinity;
    this.#closedAfterMs = Math.min(this.#closedAfterMs, now - idleSince);
    this.#closedAt = now;
  }

  /** For a request that must not be sent twice. */
  #longestIdle(now: number): number {
    if (this.#closedAfterMs === Infinity || now - this.#closedAt > SEEN_FOR_MS)
      return MAX_IDLE_FOR_UNREPEATABLE_MS;
    return Math.min(MAX_IDLE_FOR_UNREPEATABLE_MS, this.#closedAfterMs - CLOSING_MARGIN_MS);
  }

  onIdleEnded(connection: Connection): void {
    this.sawClosing(connection.idleSince);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    connection.close();
  }

  onClosed(connection: Connection): void {
    this.#open--;
    if (!connection.wasEstablished) this.#connecting--;
    const waiter = this.#takeWaiter();
    if (waiter) waiter.onPlaceFree();
  }

  #dropIdle(): boolean {
    const oldest = this.#idle.shift();
    oldest?.close();
    return oldest !== undefined;
  }

  #takeWaiter(): Tenant | undefined {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      return waiter;
    }
    return undefined;
  }
}
