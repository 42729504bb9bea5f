/** An app that answers grpc health checks. */
import assert from 'node:assert/strict';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** A gRPC health service on node:http2, as grpc.health.v1 describes it. */
export async function healthServer(
  host: string,
  asked: string[],
  statuses: Readonly<Record<string, number>>,
): Promise<AsyncDisposable & { port: number }> {
  const server: Http2Server = createHttp2Server();
  const sessions = new Set<import('node:http2').ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    assert.equal(headers[':path'], '/grpc.health.v1.Health/Check');
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const service = Buffer.concat(chunks).subarray(7).toString();
      asked.push(service);
      const status = statuses[service];
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.end(status === undefined ? undefined : Buffer.from([0, 0, 0, 0, 2, 8, status]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}
