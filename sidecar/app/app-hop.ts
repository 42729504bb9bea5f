/** The way to the app: our HTTP/1.1, or, loaded only where the webhook found that the app wants it, HTTP/2 or TLS. */
import { createRelay, type Relay } from '../../common/relay/index.ts';
import type { AppHop } from '../context.ts';

const HTTP1: AppHop = { idleMs: 600_000, unprocessedBytes: 0 };

/**
 * Either side of a gRPC stream may be silent for hours and mean it, so no clock of ours ends one. A caller's host that
 * vanished is found by TCP. 64 KiB are what an app takes before it has said that it reads.
 */
const HTTP2: AppHop = { idleMs: 0, unprocessedBytes: 65_536 };

export async function openAppHop(protocol: string, isTls: boolean): Promise<{ relay: Relay; hop: AppHop }> {
  if (isTls) {
    const { createTlsTransport, TLS_DIAL } = await import('../../common/relay/target/tls-transport.ts');
    return { relay: createRelay({ transport: createTlsTransport() }), hop: { ...HTTP1, dial: TLS_DIAL } };
  }
  if (protocol !== 'h2c') return { relay: createRelay(), hop: HTTP1 };
  const { createHttp2Relay } = await import('./http2/http2-relay.ts');
  return { relay: createHttp2Relay(), hop: HTTP2 };
}
