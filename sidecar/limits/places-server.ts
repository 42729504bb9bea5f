/**
 * Place lines at the admin port: who may open one, and its messages. The proxy names the pod it means and the address
 * it calls from. A pod that is not the one meant answers so, because an address may have been given to another pod.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { HEADER } from '../../common/function/names.ts';
import { createLineReader, parseCount, PLACES_PATH, PLACES_PROTOCOL } from '../../common/places/protocol.ts';
import type { PlaceGivers, ProxyLine } from './place-lines.ts';

/** Proxies at once; further ones are told 503 and probe as older ones do. */
const MOST_LINES = 64;
/** A proxy speaks each second while calls wait and closes its line soon after; this one is dead. */
const LINE_SILENCE_MS = 15_000;
/** What a proxy that does not read may leave unsent. */
const MOST_UNSENT_BYTES = 65_536;

export interface PlacesServerOptions {
  readonly lines: PlaceGivers;
  /** `namespace/pod` of this pod. */
  readonly identity: string;
  /** Whether a proxy asks. */
  readonly isProxys: (req: IncomingMessage) => boolean;
  /** A share that a proxy passes on. */
  readonly onShare: (data: Uint8Array) => void;
}

export function servePlaces(options: PlacesServerOptions, req: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  const refusal = whyNot(options, req);
  if (refusal !== undefined) {
    const head = `HTTP/1.1 ${refusal}\r\n${HEADER.for}: ${options.identity}\r\n`;
    return void socket.end(`${head}Content-Length: 0\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  }
  const upgrade = `Connection: Upgrade\r\nUpgrade: ${PLACES_PROTOCOL}\r\n`;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}${HEADER.for}: ${options.identity}\r\n\r\n`);
  const line = options.lines.open({
    send(message) {
      if (socket.writableLength > MOST_UNSENT_BYTES) socket.destroy();
      else socket.write(`${message}\n`);
    },
  });
  follow(line, socket, options);
}

function whyNot(
  { lines, identity, isProxys }: PlacesServerOptions,
  req: IncomingMessage,
): string | undefined {
  if (req.url !== PLACES_PATH || req.headers.upgrade?.toLowerCase() !== PLACES_PROTOCOL)
    return '404 Not Found';
  if (req.headers[HEADER.for] !== identity) return '421 Misdirected Request';
  if (!isProxys(req)) return '403 Forbidden';
  return lines.size >= MOST_LINES ? '503 Service Unavailable' : undefined;
}

function follow(line: ProxyLine, socket: Duplex, { onShare }: PlacesServerOptions): void {
  let silence: NodeJS.Timeout | undefined;
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.destroy(), LINE_SILENCE_MS).unref();
  };
  const reader = createLineReader(
    (word, rest) => {
      if (word === 'waiting') line.waiting(parseCount(rest) ?? 0);
      else if (word === 'back') line.back(rest);
      else if (word === 'share') onShare(Buffer.from(rest));
    },
    () => socket.destroy(),
  );
  heard();
  socket.on('data', (chunk: Buffer) => {
    heard();
    reader.push(chunk);
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    clearTimeout(silence);
    line.close();
  });
}
