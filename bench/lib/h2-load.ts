/**
 * A load generator for HTTP/2 in a process of its own: connections of four streams each, every stream with one
 * request after the other. It costs more than load.ts, and its CPU is not what is measured.
 *
 *     node h2-load.ts PORT PATH STREAMS MILLISECONDS
 *
 * Prints one JSON line, as load.ts does.
 */
import { connect, type ClientHttp2Session } from 'node:http2';
import { printResult } from './load-result.ts';

const STREAMS_A_CONNECTION = 4;

const [port, path = '/', streams, milliseconds] = process.argv.slice(2);
const startedAt = performance.now();
const deadline = startedAt + Number(milliseconds);
const latencies: number[] = [];
let errors = 0;

function callOnce(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    const sentAt = performance.now();
    const stream = session.request([
      ':method',
      'GET',
      ':scheme',
      'http',
      ':authority',
      'bench',
      ':path',
      path,
    ]);
    let status = 0;
    stream.on('response', (headers) => (status = Number(headers[':status'])));
    stream.on('data', () => undefined);
    stream.on('error', () => undefined);
    stream.on('close', () => {
      if (status !== 200) errors++;
      latencies.push(performance.now() - sentAt);
      resolve();
    });
  });
}

async function caller(session: ClientHttp2Session): Promise<void> {
  while (performance.now() < deadline) await callOnce(session);
}

const connections = Math.ceil(Number(streams) / STREAMS_A_CONNECTION);
const sessions = Array.from({ length: connections }, () => connect(`http://127.0.0.1:${port}`));
await Promise.all(
  Array.from({ length: Number(streams) }, (_, i) => caller(sessions[i % connections] as ClientHttp2Session)),
);
for (const session of sessions) session.close();
printResult(latencies, errors, startedAt);
