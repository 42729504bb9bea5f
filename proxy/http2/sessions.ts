/**
 * The HTTP/2 connections that are open, and their clocks: what HTTP/1.1's server does for its connections, Node's
 * HTTP/2 leaves to us. A connection without a stream is idle whatever else it sends: PING, SETTINGS or the
 * half of a header block keep nobody alive.
 */
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../clock.ts';

export interface SessionLimits {
  /** To the first stream. */
  readonly firstStreamMs: number;
  /** Without a stream; then GOAWAY. */
  readonly idleMs: number;
  /** Streams after which a connection takes no more; 0: any number. */
  readonly maxRequests: number;
  /** What connections without a stream may hold; beyond it the longest idle are closed. */
  readonly maxIdleBytes: number;
  readonly onEvicted: () => void;
}

/** Resident memory of an idle connection, measured with some thousands of them. */
const H2_PLAIN_BYTES = 32 * 1024;
const H2_TLS_BYTES = 80 * 1024;

/** One connection; the same for all of its streams. */
export interface Peer {
  readonly remoteAddress: string | undefined;
  readonly isTls: boolean;
  /** See edge/outside.ts. */
  readonly isOutside: boolean;
}

interface Entry extends Peer {
  readonly session: ServerHttp2Session;
  requests: number;
  running: number;
  idleSinceMs: number;
  /** GOAWAY was sent; it ends with its last stream. */
  isClosing: boolean;
}

/** A client that was told to go and has no stream left is given so long to take the message. */
const CLOSE_GRACE_MS = 5_000;

export class Sessions {
  readonly #limits: SessionLimits;
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #cancelSweep: (() => void) | undefined;
  /** Every connection closes after the requests that it has now. */
  #isEnding = false;
  /** So many connections until idle ones are counted again. */
  #countAt = 0;
  /** Since the start. */
  streams = 0;

  constructor(limits: SessionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  get running(): number {
    let sum = 0;
    for (const { running } of this.#entries) sum += running;
    return sum;
  }

  add(session: ServerHttp2Session, peer: Peer): { onStream(stream: ServerHttp2Stream): void } {
    const idleSinceMs = this.#clock.now();
    const entry: Entry = { ...peer, session, requests: 0, running: 0, idleSinceMs, isClosing: false };
    this.#entries.add(entry);
    session.once('close', () => this.#remove(entry));
    if (this.#entries.size >= this.#countAt) this.#makeRoom();
    this.#cancelSweep ??= this.#sweepLater();
    return { onStream: (stream) => this.#onStream(entry, stream) };
  }

  /** From now on each connection is closed after its present streams, or its next one: clients connect again. */
  closeAfterAnswers(): void {
    this.#isEnding = true;
    for (const entry of this.#entries) if (entry.requests > 0) this.#close(entry);
  }

  /** GOAWAY to all: what runs is answered, what the client sends from here on it must send elsewhere. */
  closeAll(): void {
    this.#isEnding = true;
    for (const entry of this.#entries) this.#close(entry);
  }

  destroyAll(): void {
    for (const { session } of this.#entries) session.destroy();
  }

  #onStream(entry: Entry, stream: ServerHttp2Stream): void {
    entry.requests++;
    entry.running++;
    this.streams++;
    stream.once('close', () => {
      entry.running--;
      if (entry.running === 0) entry.idleSinceMs = this.#clock.now();
    });
    const { maxRequests } = this.#limits;
    if (this.#isEnding || (maxRequests > 0 && entry.requests >= maxRequests)) this.#close(entry);
  }

  #close(entry: Entry): void {
    if (entry.isClosing) return;
    entry.isClosing = true;
    if (entry.running === 0) entry.idleSinceMs = this.#clock.now();
    entry.session.close();
  }

  #makeRoom(): void {
    const { maxIdleBytes, onEvicted } = this.#limits;
    const idle = [...this.#entries].filter((entry) => entry.running === 0);
    let bytes = idle.reduce((sum, entry) => sum + costOf(entry), 0);
    if (bytes > maxIdleBytes)
      for (const entry of idle.toSorted((a, b) => a.idleSinceMs - b.idleSinceMs)) {
        if (bytes <= (maxIdleBytes * 15) / 16) break;
        bytes -= costOf(entry);
        entry.session.destroy();
        onEvicted();
      }
    this.#countAt = this.#entries.size + Math.max(1, Math.floor((maxIdleBytes - bytes) / H2_TLS_BYTES));
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry);
    if (this.#entries.size > 0) return;
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #sweepLater(): () => void {
    const { firstStreamMs, idleMs } = this.#limits;
    return this.#clock.after(Math.min(firstStreamMs, idleMs, CLOSE_GRACE_MS) / 4, () => {
      this.#cancelSweep = this.#sweepLater();
      for (const entry of this.#entries) this.#look(entry);
      this.#makeRoom();
    });
  }

  #look(entry: Entry): void {
    if (entry.running > 0) return;
    const { firstStreamMs, idleMs } = this.#limits;
    const idle = this.#clock.now() - entry.idleSinceMs;
    if (entry.isClosing && idle >= CLOSE_GRACE_MS) entry.session.destroy();
    else if (entry.requests === 0 && idle >= firstStreamMs) entry.session.destroy();
    else if (idle >= idleMs) this.#close(entry);
  }
}

function costOf({ isTls }: Peer): number {
  return isTls ? H2_TLS_BYTES : H2_PLAIN_BYTES;
}
