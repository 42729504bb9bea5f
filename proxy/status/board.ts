/**
 * The functions' status as text, made once for all who see the same: trusted callers, all others inside, and those
 * outside the cluster. Rendering 10,000 functions takes tens of milliseconds and megabytes, and anybody may ask. So a
 * rendering is used again for ten times as long as it took. No new one is made while clients that do not read hold too
 * many old ones. Given up then: freshness.
 *
 * Room `proxy/status`: Status of functions for people and machines.
 * Comes in: the table of functions.
 * Goes out: JSON, a stream, the page.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import type { Clock } from '../clock.ts';
import type { FunctionStatus } from './function-status.ts';

/** Who is asked for: everything, what callers who are not trusted may see, or what may leave the cluster. */
export type StatusView = 'all' | 'public' | 'outside';

/** One state of the functions. Its memory is shared by all answers that show it. */
export interface Rendering {
  /** A JSON array. */
  readonly json: Buffer;
  /** The same as a server-sent event. */
  readonly event: Buffer;
}

interface Rendered extends Rendering {
  madeAtMs: number;
  tookMs: number;
}

export interface StatusBoardOptions {
  readonly clock: Clock;
  readonly statuses: (view: StatusView) => readonly FunctionStatus[];
  /** Bytes of answers that are being written. */
  readonly maxBytes: number;
}

/** Rendering may take a tenth of the time. */
const TIMES_RENDER_TIME = 10;

const EVENT_HEAD = 'data: ';
const EVENT_TAIL = '\n\n';

export class StatusBoard {
  readonly #options: StatusBoardOptions;
  readonly #last = new Map<StatusView, Rendered>();
  /** How many answers are being written from each buffer. At most as many buffers as fit into `maxBytes`, and two. */
  readonly #held = new Map<Buffer, number>();
  #heldBytes = 0;

  constructor(options: StatusBoardOptions) {
    this.#options = options;
  }

  /** Bytes of all buffers from which an answer is being written; each counts once. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The same object as long as nothing has changed. */
  read(view: StatusView): Rendering {
    const { clock, maxBytes } = this.#options;
    const last = this.#last.get(view);
    if (!last) return this.#render(view);
    const isFresh = clock.now() - last.madeAtMs < TIMES_RENDER_TIME * last.tookMs;
    return isFresh || this.#heldBytes > maxBytes ? last : this.#render(view, last);
  }

  /**
   * One function's status, made for one caller.
   * @throws ReasonError `too-busy`
   */
  readOne(status: FunctionStatus): Buffer {
    this.checkRoom();
    return Buffer.from(JSON.stringify([status]));
  }

  /** @throws ReasonError `too-busy` while unread answers hold too much */
  checkRoom(): void {
    if (this.#heldBytes > this.#options.maxBytes)
      throw new ReasonError('too-busy', 'too many status answers are being read; try again', {
        retryAfterSeconds: 5,
      });
  }

  /** To be called while an answer is written from these bytes. Returns its release; twice is harmless. */
  hold(bytes: Buffer): () => void {
    const count = this.#held.get(bytes) ?? 0;
    if (count === 0) this.#heldBytes += bytes.length;
    this.#held.set(bytes, count + 1);
    let isHeld = true;
    return () => {
      if (isHeld) this.#release(bytes);
      isHeld = false;
    };
  }

  #release(bytes: Buffer): void {
    const count = (this.#held.get(bytes) ?? 0) - 1;
    if (count > 0) return void this.#held.set(bytes, count);
    this.#held.delete(bytes);
    this.#heldBytes -= bytes.length;
  }

  #render(view: StatusView, last?: Rendered): Rendering {
    const { clock, statuses } = this.#options;
    const madeAtMs = clock.now();
    const event = Buffer.from(`${EVENT_HEAD}${JSON.stringify(statuses(view))}${EVENT_TAIL}`);
    const tookMs = clock.now() - madeAtMs;
    if (last?.event.equals(event)) {
      Object.assign(last, { madeAtMs, tookMs });
      return last;
    }
    const json = event.subarray(EVENT_HEAD.length, event.length - EVENT_TAIL.length);
    const rendered = { json, event, madeAtMs, tookMs };
    this.#last.set(view, rendered);
    return rendered;
  }
}
