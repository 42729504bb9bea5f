/** An app that speaks HTTP/2 without TLS, each stream answered by the test. */
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { RelayTarget } from '../../../../common/relay/index.ts';

export interface Arrival {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly raw: readonly string[];
  readonly session: ServerHttp2Session;
  /** 0 for the first. */
  readonly nth: number;
}

export interface H2Upstream {
  readonly target: RelayTarget;
  readonly sessions: readonly ServerHttp2Session[];
  readonly arrivals: readonly Arrival[];
  /** As a process that dies: every connection reset, nobody listens. */
  kill(): Promise<void>;
}

export async function h2Upstream(
  t: TestContext,
  answer: (arrival: Arrival) => void,
  options: ServerOptions & { readonly port?: number } = {},
): Promise<H2Upstream> {
  const server = createServer(options);
  const sessions: ServerHttp2Session[] = [];
  const arrivals: Arrival[] = [];
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => undefined);
    session.on('stream', (stream, headers, _flags, raw) => {
      stream.on('error', () => undefined);
      const arrival = { stream, headers, raw, session, nth: arrivals.length };
      arrivals.push(arrival);
      answer(arrival);
    });
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const kill = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const session of sessions) session.destroy();
    await closed;
  };
  t.after(kill);
  const { port } = server.address() as AddressInfo;
  return { target: { host: '127.0.0.1', port }, sessions, arrivals, kill };
}

export async function bodyOf(stream: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
