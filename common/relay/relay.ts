/**
 * The relay: a pool a target, the exchanges that run, and the one clock that watches both.
 */
import { CoarseClock, type Use } from './clock.ts';
import { RelayError } from './errors.ts';
import { RunningExchange, type Host } from './exchange.ts';
import { Pool, type PoolLimits } from './pool.ts';
import { RunningList } from './running-list.ts';
import type { Exchange, ExchangeRequest, Outcome, Relay, RelayOptions, RelayStats, Target } from './types.ts';

const DEFAULTS: PoolLimits = { maxConnections: 4_096, maxIdle: 256, idleMs: 30_000, maxHeadBytes: 65_536 };

/**
 * Owns the connections; one a process.
 * @throws RangeError for an option that is not a whole number of at least 1
 */
export function createRelay(options: RelayOptions = {}): Relay {
  const limits = { ...DEFAULTS, ...options };
  for (const [name, value] of Object.entries(limits))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`relay: ${name} must be a whole number of at least 1, not ${value}`);
  return new PooledRelay(limits);
}

class PooledRelay implements Relay, Host {
  readonly #limits: PoolLimits;
  readonly #pools = new Map<string, Pool>();
  readonly #running = new RunningList<RunningExchange>();
  readonly clock: CoarseClock;
  #isClosed = false;
  #staleRetries = 0;
  /** Of pools that are gone. */
  #openedBefore = 0;
  /** The pool asked for last: a sidecar has one target, and a proxy often asks for the same again. */
  #lastTarget: Target | undefined;
  #lastPool: Pool | undefined;

  constructor(limits: PoolLimits) {
    this.#limits = limits;
    this.clock = new CoarseClock((now) => this.#sweep(now));
  }

  exchange(request: ExchangeRequest, onDone?: (outcome: Outcome) => void): Exchange {
    this.clock.touch();
    const exchange = new RunningExchange(request, this.#poolOf(request.target), this, onDone);
    if (this.#isClosed) {
      queueMicrotask(() => exchange.onConnectFailed(new RelayError('relay-closed', 'the relay is closed')));
      return exchange;
    }
    this.#running.add(exchange);
    exchange.start();
    return exchange;
  }

  forget(target: Target): void {
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
    return { ...stats, staleRetries: this.#staleRetries };
  }

  close(): void {
    this.#isClosed = true;
    for (const pool of this.#pools.values()) pool.retire();
    if (this.#running.size === 0) this.clock.stop();
  }

  remove(exchange: RunningExchange): void {
    this.#running.remove(exchange);
    if (this.#isClosed && this.#running.size === 0) this.clock.stop();
  }

  onStaleRetry(): void {
    this.#staleRetries++;
  }

  #poolOf(target: Target): Pool {
    if (target === this.#lastTarget && this.#lastPool) return this.#lastPool;
    const key = keyOf(target);
    let pool = this.#pools.get(key);
    if (!pool) {
      pool = new Pool(target, this.#limits);
      this.#pools.set(key, pool);
    }
    this.#lastTarget = target;
    this.#lastPool = pool;
    return pool;
  }

  #drop(key: string, pool: Pool): void {
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

function keyOf(target: Target): string {
  return `${target.host}:${target.port}`;
}
