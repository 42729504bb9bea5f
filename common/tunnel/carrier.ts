/**
 * Two sockets joined after an upgrade, each the other's end. It is http-proxy that pipes them; this ends them. When
 * one side is gone the other goes, at the latest after LINGER_MS. So no half-open pair keeps a place in a function
 * forever.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FrameFilter } from './frame-filter.ts';

/** From one side's end to the other's: time for what is still on its way. */
const TUNNEL_LINGER_MS = 10_000;

/** A peer that vanished (its node died) is found by TCP: 30 s of silence, then 10 probes. */
const TUNNEL_TCP_KEEP_ALIVE_MS = 30_000;

export interface TunnelCarrier {
  /** Resolves when both sockets are closed. */
  readonly done: Promise<void>;
  close(code: number, reason: string, graceMs: number): void;
}

export function joinTunnel(client: Duplex, upstream: Socket, isWebSocket: boolean): TunnelCarrier {
  const filter = isWebSocket ? insertFilter(client, upstream) : undefined;
  keepAlive(client);
  keepAlive(upstream);
  const destroyBoth = (): void => {
    client.destroy();
    upstream.destroy();
  };
  const timers: NodeJS.Timeout[] = [];
  const destroyIn = (ms: number) => timers.push(setTimeout(destroyBoth, ms));
  for (const socket of [client, upstream]) {
    socket.on('error', destroyBoth);
    socket.once('end', () => destroyIn(TUNNEL_LINGER_MS));
  }
  // After a clean end the pipes flush and end the other side by themselves; after any other nothing is whole.
  client.once('close', () => client.readableEnded || upstream.destroy());
  upstream.once('close', () => upstream.readableEnded || client.destroy());
  if (client.destroyed || upstream.destroyed) destroyBoth(); // its `close` may have been before we listened
  const done = Promise.all([closed(client), closed(upstream)]).then(() => timers.forEach(clearTimeout));
  return {
    done,
    close(code, reason, graceMs) {
      filter?.sayClose(code, reason);
      destroyIn(graceMs);
    },
  };
}

/** Takes the place of http-proxy's own pipe from the upstream to the client. */
function insertFilter(client: Duplex, upstream: Socket): FrameFilter {
  const filter = new FrameFilter();
  upstream.unpipe(client);
  upstream.pipe(filter).pipe(client);
  return filter;
}

function keepAlive(socket: Duplex): void {
  (socket as Partial<Socket>).setKeepAlive?.(true, TUNNEL_TCP_KEEP_ALIVE_MS);
}

function closed(socket: Duplex): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
