/**
 * HTTP/2 with prior knowledge on the port of HTTP/1.1. Node's own parser knows the preface
 * (`PRI * HTTP/2.0 … SM`) and stops at it with an error of its own; here another server takes the connection over. So a
 * connection of HTTP/1.1 pays nothing, and one that has said nothing yet has the limits of HTTP/1.1's server.
 *
 * The price: the parser is taken off its connection with `unconsume` and `remove`, which Node's server uses for
 * upgrades and does not document. A test watches them.
 */
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { giveAway } from '../../common/relay/index.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

interface PrefaceError extends Error {
  readonly code?: string;
  readonly bytesParsed: number;
  readonly rawPacket: Buffer;
}

interface ParsedSocket extends Socket {
  readonly parser?: { unconsume(): void; remove(): void } | null;
  /** The answer that is being given on it. */
  readonly _httpMessage?: unknown;
}

/** What the HTTP/1.1 server listens to; `close` stays, it gives the parser back. */
const HTTP1_EVENTS = ['data', 'end', 'error', 'timeout', 'drain', 'pause', 'resume'];

/** To be called before any other listener of `clientError` is asked: it replaces them and asks them for the rest. */
export function takeOverHttp2(server: Server, take: (socket: Socket) => void): void {
  const others = server.listeners('clientError') as ((error: Error, socket: Duplex) => void)[];
  server.removeAllListeners('clientError');
  server.on('clientError', (error, socket) => {
    if (isPreface(error) && isFresh(socket)) return take(freed(socket, error));
    for (const other of others) other.call(server, error, socket);
  });
}

function isPreface(error: Error): error is PrefaceError {
  return (error as PrefaceError).code === 'HPE_PAUSED_H2_UPGRADE';
}

/** Behind a request of HTTP/1.1 a preface is an error: the answer to that request may still be on its way. */
function isFresh(socket: Duplex): socket is ParsedSocket {
  const { parser, _httpMessage, bytesWritten } = socket as ParsedSocket;
  return Boolean(parser) && !_httpMessage && bytesWritten === 0;
}

/** The connection as it was before its first byte. */
function freed(socket: ParsedSocket, { rawPacket, bytesParsed }: PrefaceError): Socket {
  giveAway(socket);
  socket.parser?.unconsume();
  socket.parser?.remove(); // out of the reach of the header timeout
  for (const event of HTTP1_EVENTS) socket.removeAllListeners(event);
  // HTTP/1.1's server lets a client half-close; in HTTP/2 a half-close means that the client has gone.
  socket.on('end', () => socket.end());
  socket.setTimeout(0);
  socket.pause();
  // The preface may have come in pieces; what is behind it has come with the last one.
  socket.unshift(Buffer.concat([PREFACE, rawPacket.subarray(bytesParsed)]));
  return socket;
}
