/**
 * Server-sent events of the functions' status. They are looked at every half second and sent only when something
 * changed. A comment is sent now and then so that idle connections are not cut on the way. A reader that does not keep
 * up misses states in between, and is cut when it takes too long over one.
 */
import type { ServerResponse } from 'node:http';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { Clock } from '../clock.ts';
import type { Rendering, StatusBoard, StatusView } from './board.ts';

const STATUS_CHECK_INTERVAL_MS = 500;
const COMMENT_MS = 15_000;

export interface StatusStreamOptions {
  readonly clock: Clock;
  readonly board: Pick<StatusBoard, 'read' | 'hold'>;
  /** Readers at once; each costs a write when something changes. */
  readonly maxReaders: number;
  /** In which a reader takes what it was sent; beyond: cut. */
  readonly readMs: number;
  /** A reader was refused. */
  readonly onFull: () => void;
}

interface Reader {
  readonly res: ServerResponse;
  /** Asked at each look: a caller may be outside from one moment to the next. */
  readonly view: () => StatusView;
  last: Rendering | undefined;
  sentAtMs: number;
  /** Releases the bytes that were written last. */
  release: () => void;
}

export class StatusStream {
  readonly #options: StatusStreamOptions;
  readonly #readers = new Set<Reader>();
  #cancel: (() => void) | undefined;

  constructor(options: StatusStreamOptions) {
    this.#options = options;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** @throws ReasonError `too-busy` when there are as many readers as there may be */
  checkRoom(): void {
    const { maxReaders, onFull } = this.#options;
    if (this.#readers.size < maxReaders) return;
    onFull();
    throw new ReasonError(
      'too-busy',
      `${maxReaders} readers follow the status in this proxy, its limit (--status-readers); ask /status-functions`,
      { retryAfterSeconds: 5 },
    );
  }

  /** Begins to write on an answer whose head is written; ends with its connection. */
  add(res: ServerResponse, view: () => StatusView): void {
    const { clock } = this.#options;
    const reader: Reader = { res, view, last: undefined, sentAtMs: clock.now(), release: nothingHeld };
    this.#readers.add(reader);
    res.once('close', () => this.#remove(reader));
    this.#send(reader);
    this.#cancel ??= clock.after(STATUS_CHECK_INTERVAL_MS, () => this.#look());
  }

  /** Ends every stream; its readers come back to another proxy. */
  close(): void {
    for (const reader of this.#readers) {
      reader.res.end();
      this.#remove(reader);
    }
  }

  #remove(reader: Reader): void {
    this.#readers.delete(reader);
    reader.release();
    if (this.#readers.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #look(): void {
    this.#cancel = this.#options.clock.after(STATUS_CHECK_INTERVAL_MS, () => this.#look());
    for (const reader of this.#readers) this.#send(reader);
  }

  #send(reader: Reader): void {
    const { clock, board, readMs } = this.#options;
    const { res } = reader;
    const now = clock.now();
    if (res.writableNeedDrain) {
      if (now - reader.sentAtMs >= readMs) res.destroy();
      return;
    }
    const state = board.read(reader.view());
    if (state !== reader.last) {
      reader.release();
      reader.release = board.hold(state.event);
      res.write(state.event, reader.release);
    } else if (now - reader.sentAtMs >= COMMENT_MS) res.write(': still here\n\n');
    else return;
    reader.last = state;
    reader.sentAtMs = now;
  }
}

function nothingHeld(): void {}
