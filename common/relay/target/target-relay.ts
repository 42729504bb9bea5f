/**
 * A relay to many targets: for each a pool of connections, the exchanges that run, and the one clock that watches both.
 * What a pool and an exchange are is given: HTTP/1.1 (relay.ts) or HTTP/2 (../http2/http2-relay.ts).
 */
import { CoarseClock, type Use } from '../exchange/clock.ts';
import { RelayError } from '../errors.ts';
import type { ExchangeLife, Host, OnDone } from '../exchange/exchange-life.ts';
import { RunningList } from '../exchange/running-list.ts';
import type { Exchange, RelayRequest, Relay, RelayStats, RelayTarget } from '../types.ts';

/** The connections to one target. */
export interface TargetPool {
  readonly idleCount: number;
  readonly connectingCount: number;
  readonly busyCount: number;
  readonly waitingCount: number;
  /** Since the start. */
  readonly opened: number;
  readonly isEmpty: boolean;
  /** Closes what has been idle for too long. */
  sweep(now: number): void;
  /** No connection is kept from here on. */
  retire(): void;
}

export interface Protocol<P extends TargetPool> {
  open(target: RelayTarget): P;
  /** Made, not started. */
  exchange(request: RelayRequest, pool: P, host: Host, onDone: OnDone): ExchangeLife;
}

export class TargetRelay<P extends TargetPool> implements Relay, Host {
  readonly #protocol: Protocol<P>;
  readonly #pools = new Map<string, P>();
  readonly #running = new RunningList<ExchangeLife>();
  readonly clock: CoarseClock;
  #isClosed = false;
  #retries = 0;
  /** Connections that were opened by pools that are gone. */
  #openedBefore = 0;
  /** The pool asked for last: a sidecar has one target, and a proxy often asks for the same again. */
  #lastTarget: RelayTarget | undefined;
  #lastPool: P | undefined;

  constructor(protocol: Protocol<P>) {
    this.#protocol = protocol;
    this.clock = new CoarseClock((now) => this.#sweep(now));
  }

  exchange(request: RelayRequest, onDone?: OnDone): Exchange {
    this.clock.touch();
    const exchange = this.#protocol.exchange(request, this.#poolOf(request.target), this, onDone);
    if (this.#isClosed) {
      queueMicrotask(() => exchange.onConnectFailed(new RelayError('relay-closed', 'the relay is closed')));
      return exchange;
    }
    this.#running.add(exchange);
    exchange.start();
    return exchange;
  }

  forget(target: RelayTarget): void {
    const key = keyOf(target);
    const pool = this.#pools.get(key);
    if (!pool) return;
    this.#drop(key, pool);
    pool.retire();
  }

  get stats(): RelayStats {
    const stats = { active: 0, idle: 0, connecting: 0, waiting: 0, opened: this.#openedBefore };
    for (const pool of this.#pools.values()) {
      stats.active += pool.busyCount;
      stats.idle += pool.idleCount;
      stats.connecting += pool.connectingCount;
      stats.waiting += pool.waitingCount;
      stats.opened += pool.opened;
    }
    return { ...stats, staleRetries: this.#retries };
  }

  close(): void {
    this.#isClosed = true;
    for (const pool of this.#pools.values()) pool.retire();
    if (this.#running.size === 0) this.clock.stop();
  }

  remove(exchange: ExchangeLife): void {
    this.#running.remove(exchange);
    if (this.#isClosed && this.#running.size === 0) this.clock.stop();
  }

  onRetry(): void {
    this.#retries++;
  }

  #poolOf(target: RelayTarget): P {
    if (target === this.#lastTarget && this.#lastPool) return this.#lastPool;
    const key = keyOf(target);
    let pool = this.#pools.get(key);
    if (!pool) {
      pool = this.#protocol.open(target);
      this.#pools.set(key, pool);
    }
    this.#lastTarget = target;
    this.#lastPool = pool;
    return pool;
  }

  #drop(key: string, pool: P): void {
    this.#pools.delete(key);
    this.#openedBefore += pool.opened;
    if (this.#lastPool === pool) this.#lastPool = undefined;
  }

  #sweep(now: number): Use {
    this.#running.forEach((exchange) => exchange.sweep(now));
    let isOpen = false;
    for (const [key, pool] of this.#pools) {
      pool.sweep(now);
      // A target that is no longer called leaves nothing behind, so that pods that came and went do not add up.
      if (pool.isEmpty) this.#drop(key, pool);
      else isOpen = true;
    }
    if (this.#running.size > 0) return 'busy';
    return isOpen ? 'open' : 'nothing';
  }
}

function keyOf(target: RelayTarget): string {
  return `${target.host}:${target.port}`;
}
