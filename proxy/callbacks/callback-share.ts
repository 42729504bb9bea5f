/**
 * How much of the store of results on their way one function may hold: three times what it leaves free, in bytes and in
 * results. JetStream counts messages by function and no bytes. So a function counts as if all its results had the size
 * of the one at hand, and never as more than all that is stored. A function that holds little loses nothing,
 * however full the store is. It is asked only for results that have waited long.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { QueueLink } from '../../common/queue/queue.ts';
import type { CallbackRoom } from '../../common/queue/room.ts';

export interface CallbackShareOptions {
  readonly queue: Pick<QueueLink, 'live'>;
  readonly now: () => number;
}

const TIMES_FREE = 3;
/** A function that holds less than both, and less than a hundredth of all bytes, keeps all its results. */
const ALWAYS_BYTES = 1024 * 1024;
const ALWAYS_PART = 0.01;
/** Between two readings. */
const READ_MS = 2_000;

interface Reading extends CallbackRoom {
  readonly results: Map<string, number>;
}

export class CallbackShare {
  readonly #options: CallbackShareOptions;
  #room: Reading | undefined;
  #readAtMs = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(options: CallbackShareOptions) {
    this.#options = options;
  }

  /**
   * Whether this result is to be given up, as its function holds too much. Then it counts no more.
   * @param bytes of the result. False where nothing is known
   */
  async givesUp(id: FunctionId, bytes: number): Promise<boolean> {
    if (this.#options.now() - this.#readAtMs >= READ_MS) await (this.#reading ??= this.#read());
    if (!this.#room) return false;
    const { all, bounds, results } = this.#room;
    const key = functionKey(id);
    const own = results.get(key) ?? 0;
    const ownBytes = Math.min(all.bytes, own * bytes);
    const fewBytes = Math.min(ALWAYS_BYTES, ALWAYS_PART * (bounds.bytes ?? Infinity));
    if (ownBytes < fewBytes && own < ALWAYS_PART * (bounds.results ?? Infinity)) return false;
    const isAbove = isMore(own, all.results, bounds.results) || isMore(ownBytes, all.bytes, bounds.bytes);
    if (!isAbove) return false;
    results.set(key, own - 1); // the next reading does not know it yet
    this.#room = { bounds, results, all: { results: all.results - 1, bytes: all.bytes - bytes } };
    return true;
  }

  async #read(): Promise<void> {
    try {
      const room = await this.#options.queue.live?.callbackRoom();
      this.#room = room && { ...room, results: new Map(room.results) };
    } catch {
      this.#room = undefined; // then nothing is given up
    } finally {
      this.#readAtMs = this.#options.now();
      this.#reading = undefined;
    }
  }
}

/** @param bound undefined: there is none */
function isMore(own: number, all: number, bound: number | undefined): boolean {
  return bound !== undefined && own > TIMES_FREE * Math.max(0, bound - all);
}
