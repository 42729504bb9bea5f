/** HTTP/2 clients for tests: whole calls on a session, and raw frames for what no client would send. */
import { once } from 'node:events';
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';

export interface H2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly trailers: IncomingHttpHeaders;
}

export interface H2Client extends Disposable {
  readonly session: ClientHttp2Session;
  /** Rejects when the stream is reset. */
  call(path: string, options?: H2CallOptions): Promise<H2Answer>;
  start(path: string, options?: H2CallOptions): ClientHttp2Stream;
}

export interface H2CallOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** undefined: END_STREAM with the headers; null: left open. */
  readonly body?: string | Buffer | null;
}

export function h2Client(url: string, options: SecureClientSessionOptions = {}): H2Client {
  const session = connect(url, options);
  session.on('error', () => undefined);
  const start = (path: string, { method, headers = {}, body }: H2CallOptions = {}): ClientHttp2Stream => {
    const verb = method ?? (body === undefined ? 'GET' : 'POST');
    const stream = session.request(
      { ':method': verb, ':path': path, ...headers },
      { endStream: body === undefined },
    );
    stream.on('error', () => undefined);
    if (body) stream.end(body);
    return stream;
  };
  return {
    session,
    start,
    call: (path, given) => answerOf(start(path, given)),
    [Symbol.dispose]: () => session.destroy(),
  };
}

export function answerOf(stream: ClientHttp2Stream): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    let hasEnded = false;
    stream.on('response', (received) => (headers = received));
    stream.on('trailers', (received: IncomingHttpHeaders) => (trailers = received));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => (hasEnded = !stream.closed || stream.rstCode === 0));
    stream.on('close', () => {
      const text = Buffer.concat(chunks).toString();
      const status = Number(headers[':status'] ?? 0);
      if (hasEnded && status > 0) resolve({ status, headers, text, trailers });
      else reject(new Error(`reset with ${stream.rstCode}`, { cause: { code: stream.rstCode, text } }));
    });
  });
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const EMPTY_SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

type Fields = Readonly<Record<string, string>> | readonly (readonly [string, string])[];

/** Literal fields without indexing: short names and values only. */
export function headersFrame(streamId: number, fields: Fields, flags = 0x5): Buffer {
  const entries = Array.isArray(fields) ? (fields as [string, string][]) : Object.entries(fields);
  const parts = entries.map(([name, value]) =>
    Buffer.concat([
      Buffer.from([0x00, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value, 'latin1'),
    ]),
  );
  return frame(1, flags, streamId, Buffer.concat(parts));
}

const CLOSED_WITHIN_MS = 60_000;

export interface RawConnection extends Disposable {
  readonly socket: Socket;
  /** Of the frames that came, in order. */
  readonly types: number[];
  readonly closed: Promise<void>;
}

/** @param first what is sent at once */
export async function rawConnection(port: number, first: Buffer): Promise<RawConnection> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => undefined);
  const types: number[] = [];
  let rest = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      types.push(rest.readUInt8(3));
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
    }
  });
  // With a deadline: what should have been cut and was not fails its test instead of hanging it.
  const closed = new Promise<void>((resolve, reject) => {
    const late = new Error(`the connection was still open after ${CLOSED_WITHIN_MS} ms`);
    const timer = setTimeout(() => reject(late), CLOSED_WITHIN_MS);
    socket.once('close', () => (clearTimeout(timer), resolve()));
  });
  closed.catch(() => undefined); // not every test asks
  await once(socket, 'connect');
  socket.write(first);
  return { socket, types, closed, [Symbol.dispose]: () => socket.destroy() };
}
