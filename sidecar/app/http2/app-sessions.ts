/**
 * The connections to one upstream: requests share one until it is full, and only then get another. What waits
 * for a connection waits in order, and hears at once when it cannot be made.
 */
import { AppSession, type SessionKeeper } from './app-session.ts';
import type { TargetPool } from '../../../common/relay/target/target-relay.ts';
import type { RelayTarget } from '../../../common/relay/types.ts';

/** As the HTTP/1.1 relay keeps its idle connections. */
const SESSION_IDLE_MS = 30_000;

export interface SessionTenant {
  onSession(session: AppSession): void;
  onConnectFailed(error: Error): void;
}

export class AppSessions implements SessionKeeper, TargetPool {
  readonly target: RelayTarget;
  readonly #usable = new Set<AppSession>();
  readonly #waiters = new Set<SessionTenant>();
  #connecting: AppSession | undefined;
  opened = 0;

  constructor(target: RelayTarget) {
    this.target = target;
  }

  get busyCount(): number {
    let sum = 0;
    for (const { active } of this.#usable) sum += active;
    return sum;
  }

  get idleCount(): number {
    let count = 0;
    for (const { active } of this.#usable) if (active === 0) count++;
    return count;
  }

  get connectingCount(): number {
    return this.#connecting ? 1 : 0;
  }

  get waitingCount(): number {
    return this.#waiters.size;
  }

  get isEmpty(): boolean {
    return this.#usable.size === 0 && !this.#connecting && this.#waiters.size === 0;
  }

  /** The tenant hears of a session now or later, or why there is none. */
  take(tenant: SessionTenant): void {
    for (const session of this.#usable) if (session.hasRoom) return tenant.onSession(session);
    this.#waiters.add(tenant);
    this.#connect();
  }

  leave(tenant: SessionTenant): void {
    this.#waiters.delete(tenant);
  }

  /** A stream of the session is over. */
  released(session: AppSession, now: number): void {
    session.active--;
    session.idleSince = now;
    this.#serve(session);
  }

  sweep(now: number): void {
    for (const session of this.#usable)
      if (session.active === 0 && now - session.idleSince >= SESSION_IDLE_MS) session.close();
  }

  retire(): void {
    for (const session of this.#usable) session.close();
  }

  onUp(session: AppSession): void {
    if (session === this.#connecting) this.#connecting = undefined;
    this.#usable.add(session);
    this.#serve(session);
    if (this.#waiters.size > 0) this.#connect();
  }

  onDown(session: AppSession, error: Error): void {
    this.#usable.delete(session);
    if (session !== this.#connecting) return;
    this.#connecting = undefined;
    const failed = Array.from(this.#waiters); // who tries again comes back into the set
    this.#waiters.clear();
    for (const waiter of failed) waiter.onConnectFailed(error);
  }

  #serve(session: AppSession): void {
    for (const waiter of this.#waiters) {
      if (!session.hasRoom) return;
      this.#waiters.delete(waiter);
      waiter.onSession(session);
    }
  }

  #connect(): void {
    if (this.#connecting) return;
    this.opened++;
    this.#connecting = new AppSession(this.target, this);
  }
}
