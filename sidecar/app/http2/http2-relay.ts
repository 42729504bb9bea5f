/**
 * The relay towards an upstream that speaks HTTP/2 without TLS (h2c). It has the same contract as the HTTP/1.1 relay,
 * so that calls, jobs, retries, timers and drains need not know which one they use. On Node's own HTTP/2, which costs
 * more a request than our HTTP/1.1 (docs/decisions/http2.md); made only for functions that ask for it.
 */
import { TargetRelay } from '../../../common/relay/target/target-relay.ts';
import type { Relay } from '../../../common/relay/types.ts';
import { AppExchange } from './app-exchange.ts';
import { AppSessions } from './app-sessions.ts';

export function createHttp2Relay(): Relay {
  return new TargetRelay({
    open: (target) => new AppSessions(target),
    exchange: (request, sessions, host, onDone) => new AppExchange(request, sessions, host, onDone),
  });
}
