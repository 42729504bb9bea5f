/**
 * Server-sent events of the functions' status: looked at every half second, sent only when something changed,
 * a comment now and then so that idle connections are not cut on the way. A reader who does not keep up misses
 * states in between and never makes us keep them.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from './clock.ts';

const LOOK_MS = 500;
const COMMENT_MS = 15_000;
/** Readers at once; each costs a rendering per look. */
const MAX_READERS = 200;

interface Reader {
  readonly res: ServerResponse;
  readonly render: () => string;
  last: string;
  sentAtMs: number;
}

export class StatusStream {
  readonly #clock: Clock;
  readonly #readers = new Set<Reader>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isFull(): boolean {
    return this.#readers.size >= MAX_READERS;
  }

  /** @param render the state as one line; returns its release */
  add(res: ServerResponse, render: () => string): () => void {
    const reader: Reader = { res, render, last: '', sentAtMs: this.#clock.now() };
    this.#readers.add(reader);
    this.#send(reader);
    this.#cancel ??= this.#clock.after(LOOK_MS, () => this.#look());
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.#stopLooking();
    };
  }

  /** Ends every stream; its readers come back to another proxy. */
  close(): void {
    this.#stopLooking();
    for (const { res } of this.#readers) res.end();
    this.#readers.clear();
  }

  #look(): void {
    for (const reader of this.#readers) this.#send(reader);
    this.#cancel = this.#clock.after(LOOK_MS, () => this.#look());
  }

  #send(reader: Reader): void {
    if (reader.res.writableNeedDrain) return;
    const now = this.#clock.now();
    const state = reader.render();
    if (state !== reader.last) reader.res.write(`data: ${state}\n\n`);
    else if (now - reader.sentAtMs >= COMMENT_MS) reader.res.write(': still here\n\n');
    else return;
    reader.last = state;
    reader.sentAtMs = now;
  }

  #stopLooking(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
