/**
 * The answer of an upstream that did not upgrade (401, 404, a plain 200), sent on over the client's raw
 * socket. Its length is told by closing: exact for every framing the upstream may have used, and the
 * connection is spent anyway.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline, type Duplex } from 'node:stream';
import type { ResponseHead } from '../relay/types.ts';

/** Without a byte of the answer coming or being read: it must not hold a place forever. */
const ANSWER_IDLE_MS = 60_000;

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'trailer',
  'upgrade',
]);

export function endToEnd(res: IncomingMessage): ResponseHead {
  const headers: string[] = [];
  for (let i = 0; i + 1 < res.rawHeaders.length; i += 2) {
    const name = res.rawHeaders[i] as string;
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, res.rawHeaders[i + 1] as string);
  }
  return { status: res.statusCode ?? 502, statusText: res.statusMessage ?? '', headers };
}

export function forwardAnswer(res: IncomingMessage, head: ResponseHead, socket: Duplex): void {
  let text = `HTTP/1.1 ${head.status} ${head.statusText}\r\n`;
  for (let i = 0; i + 1 < head.headers.length; i += 2) {
    text += `${head.headers[i]}: ${head.headers[i + 1]}\r\n`;
  }
  socket.write(`${text}Connection: close\r\n\r\n`, 'latin1');
  (socket as Partial<Socket>).setTimeout?.(ANSWER_IDLE_MS, () => socket.destroy());
  pipeline(res, socket, () => socket.destroy());
}
