/**
 * The relay towards an upstream that speaks HTTP/2 without TLS (h2c): the same contract as the HTTP/1.1 relay, so
 * that calls, jobs, retries, clocks and drains need not know which one they use. On Node's own HTTP/2, which costs
 * more a request than our HTTP/1.1 (docs/decisions/http2.md); made only for functions that ask for it.
 */
import { CoarseClock, type Use } from '../relay/clock.ts';
import { RelayError } from '../relay/errors.ts';
import { RunningList } from '../relay/running-list.ts';
import type { Exchange, ExchangeRequest, Outcome, Relay, RelayStats, Target } from '../relay/types.ts';
import { AppExchange, type AppHost } from './app-exchange.ts';
import { AppSessions } from './app-sessions.ts';

/** As the HTTP/1.1 relay keeps its idle connections. */
const IDLE_MS = 30_000;

export function createHttp2Relay(): Relay {
  return new Http2Relay();
}

class Http2Relay implements Relay, AppHost {
  readonly #upstreams = new Map<string, AppSessions>();
  readonly #running = new RunningList<AppExchange>();
  readonly clock = new CoarseClock((now) => this.#sweep(now));
  #isClosed = false;
  #retries = 0;
  #openedBefore = 0;

  exchange(request: ExchangeRequest, onDone?: (outcome: Outcome) => void): Exchange {
    this.clock.touch();
    const exchange = new AppExchange(request, this.#sessionsOf(request.target), this, onDone);
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
    const sessions = this.#upstreams.get(key);
    if (!sessions) return;
    this.#drop(key, sessions);
    sessions.retire();
  }

  get stats(): RelayStats {
    const stats = { active: 0, idle: 0, connecting: 0, waiting: 0, opened: this.#openedBefore };
    for (const sessions of this.#upstreams.values()) {
      stats.active += sessions.active;
      stats.idle += sessions.idle;
      stats.connecting += sessions.connecting;
      stats.waiting += sessions.waiting;
      stats.opened += sessions.opened;
    }
    return { ...stats, staleRetries: this.#retries };
  }

  close(): void {
    this.#isClosed = true;
    for (const sessions of this.#upstreams.values()) sessions.retire();
    if (this.#running.size === 0) this.clock.stop();
  }

  remove(exchange: AppExchange): void {
    this.#running.remove(exchange);
    if (this.#isClosed && this.#running.size === 0) this.clock.stop();
  }

  onRetry(): void {
    this.#retries++;
  }

  #sessionsOf(target: Target): AppSessions {
    const key = keyOf(target);
    let sessions = this.#upstreams.get(key);
    if (!sessions) this.#upstreams.set(key, (sessions = new AppSessions(target)));
    return sessions;
  }

  #drop(key: string, sessions: AppSessions): void {
    this.#upstreams.delete(key);
    this.#openedBefore += sessions.opened;
  }

  #sweep(now: number): Use {
    this.#running.forEach((exchange) => exchange.sweep(now));
    let isOpen = false;
    for (const [key, sessions] of this.#upstreams) {
      sessions.sweep(now, IDLE_MS);
      if (sessions.isEmpty) this.#drop(key, sessions);
      else isOpen = true;
    }
    if (this.#running.size > 0) return 'busy';
    return isOpen ? 'open' : 'nothing';
  }
}

function keyOf(target: Target): string {
  return `${target.host}:${target.port}`;
}
