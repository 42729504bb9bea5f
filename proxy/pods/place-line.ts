/**
 * One place line as the proxy sees it: the connection to one pod's sidecar (common/places/protocol.ts). It is opened
 * once and tells how it ended; its owner opens the next.
 */
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { HEADER, SIDECAR_ADMIN_PORT } from '../../common/function/names.ts';
import { createLineReader, PLACES_PATH, PLACES_PROTOCOL } from '../../common/places/protocol.ts';

/**
 * - `unreached`: nobody listens, or something on the way lets nothing through: a pod that starts, most times. Or it does
 *   not take us for a proxy.
 * - `unsupported`: it answers and has no place lines: a sidecar of an older version, or one with too many proxies.
 * - `elsewhere`: another pod has this address by now.
 * - `lost`: it was open.
 */
export type LineEnd = 'unreached' | 'unsupported' | 'elsewhere' | 'lost';

export interface LineHandlers {
  opened(): void;
  /** A place is held for us, for HOLD_MS. */
  place(id: string): void;
  /** The sidecar's own report, an encoded ReadyMessage. */
  state(message: Uint8Array): void;
  /** Why its app takes no calls yet. */
  trouble(why: string): void;
  /** Once. Not after `close`. */
  ended(how: LineEnd): void;
}

export interface LineTarget {
  readonly host: string;
  /** `namespace/pod`: only that pod may answer. */
  readonly identity: string;
  /** That we are a proxy; undefined: its sidecar asks for none. */
  readonly proof?: string | undefined;
}

export interface PlaceLine {
  /** One message; nothing happens before it is open. */
  send(message: string): void;
  close(): void;
}

/** By the status of an answer. 403: it does not take us for a proxy, which the next proof may mend. */
const ENDS: Readonly<Record<number, LineEnd>> = { 421: 'elsewhere', 403: 'unreached' };

/** A new pod's network may swallow what comes first, and TCP asks again only after 1 s: we ask sooner. */
const LINE_CONNECT_MS = 150;
/** A process that is just starting accepts before it answers. */
const LINE_ANSWER_MS = 2_000;
/** What a pod that does not read may leave unsent: each place that it grants needs an answer from us. */
const MOST_UNSENT_BYTES = 65_536;

export function openPlaceLine(target: LineTarget, events: LineHandlers): PlaceLine {
  const { host, identity, proof } = target;
  let socket: Duplex | undefined;
  let isOver = false;
  const end = (how: LineEnd): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    req.destroy();
    socket?.destroy();
    events.ended(how);
  };
  const req = request({
    host,
    port: SIDECAR_ADMIN_PORT,
    path: PLACES_PATH,
    agent: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: PLACES_PROTOCOL,
      [HEADER.for]: identity,
      ...(proof !== undefined && { [HEADER.proof]: proof }),
    },
  });
  let timer = setTimeout(() => end('unreached'), LINE_CONNECT_MS);
  req.on('socket', (raw) =>
    raw.once('connect', () => {
      clearTimeout(timer);
      timer = setTimeout(() => end('unreached'), LINE_ANSWER_MS);
    }),
  );
  req.on('error', () => end(socket ? 'lost' : 'unreached'));
  req.on('response', ({ statusCode }) => end(ENDS[statusCode ?? 0] ?? 'unsupported'));
  req.on('upgrade', (res, upgraded: Duplex, head: Buffer) => {
    clearTimeout(timer);
    if (isOver) return void upgraded.destroy();
    // What listens at a stale address may be anything; only the pod itself says its own name.
    if (res.headers[HEADER.for] !== identity) return end('elsewhere');
    socket = upgraded;
    follow(upgraded, head, events, () => end('lost'));
  });
  req.end();
  return {
    send(message) {
      if (!socket?.writable) return;
      if (socket.writableLength > MOST_UNSENT_BYTES) return end('lost');
      socket.write(`${message}\n`);
    },
    close() {
      isOver = true;
      clearTimeout(timer);
      req.destroy();
      socket?.destroy();
    },
  };
}

function follow(socket: Duplex, head: Buffer, events: LineHandlers, lost: () => void): void {
  const reader = createLineReader((word, rest) => {
    if (word === 'place') events.place(rest);
    else if (word === 'state') events.state(Buffer.from(rest));
    else if (word === 'trouble') events.trouble(rest);
  }, lost);
  for (const event of ['end', 'close', 'error']) socket.on(event, lost);
  events.opened();
  reader.push(head);
  socket.on('data', (chunk: Buffer) => reader.push(chunk));
}
