/**
 * A body that can be sent again: what has passed is kept, up to a limit. Past it the memory is let go and the
 * body can no longer be replayed; it still streams. Only requests that may be retried at all are wrapped, so
 * that the others pay nothing.
 */
import type { BodyConsumer, BodySource, RawHeaders } from '../types.ts';

/**
 * @param maxBytes a body is kept for replay up to 1 MiB by default
 * @param onKept called once, when it is known how much is kept from now on: all of a body that has ended, or nothing
 */
export function replayableBody(
  source: BodySource,
  maxBytes = 1_048_576,
  onKept: (bytes: number) => void = () => undefined,
): BodySource {
  if (source.length === 0 || source.bytes) return source;
  return new ReplayableBody(source, maxBytes, onKept);
}

class ReplayableBody implements BodySource, BodyConsumer {
  readonly #source: BodySource;
  readonly #maxBytes: number;
  readonly #onKept: (bytes: number) => void;
  readonly length: number | undefined;
  #kept: Buffer[] = [];
  #size = 0;
  /** Bytes were let go: the body cannot be sent from its beginning any more. */
  #isCut = false;
  #isStarted = false;
  #trailers: RawHeaders | undefined;
  #error: Error | undefined;
  #consumer: BodyConsumer | undefined;
  /** How many of the kept chunks the present consumer has had. */
  #given = 0;
  /** The present consumer asked for a pause. */
  #isPaused = false;

  constructor(source: BodySource, maxBytes: number, onKept: (bytes: number) => void) {
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#onKept = onKept;
    this.length = source.length;
  }

  get canStart(): boolean {
    return !this.#isCut && (this.#isStarted || this.#source.canStart);
  }

  /** Not what is kept here to be sent again. */
  get givesMemoryAway(): boolean {
    return this.#isCut && this.#source.givesMemoryAway === true;
  }

  start(consumer: BodyConsumer): void {
    this.#consumer = consumer;
    this.#given = 0;
    this.#isPaused = false;
    this.#advance();
  }

  pause(): void {
    this.#isPaused = true;
    this.#source.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#advance();
  }

  /** Kept chunks wait for another start; a body that can have none is read off. */
  stop(): void {
    this.#consumer = undefined;
    if (!this.#isStarted) return;
    if (this.#isCut) this.#source.stop();
    else this.#source.pause();
  }

  // What the source gives.

  data(chunk: Buffer): boolean {
    this.#keep(chunk);
    if (!this.#consumer) return false;
    if (!this.#isCut) this.#given = this.#kept.length;
    this.#isPaused = !this.#consumer.data(chunk);
    return !this.#isPaused;
  }

  end(trailers: RawHeaders): void {
    this.#trailers = trailers;
    if (!this.#isCut) this.#onKept(this.#size);
    this.#consumer?.end(trailers);
  }

  fail(error: Error): void {
    this.#error = error;
    this.#isCut = true;
    this.#consumer?.fail(error);
  }

  #keep(chunk: Buffer): void {
    if (this.#isCut) return;
    this.#size += chunk.length;
    if (this.#size <= this.#maxBytes) {
      this.#kept.push(chunk);
      return;
    }
    this.#isCut = true;
    this.#kept = [];
    this.#onKept(0);
  }

  /** Gives the consumer what is kept, then lets the source go on. */
  #advance(): void {
    while (this.#given < this.#kept.length) {
      const consumer = this.#consumer;
      if (!consumer || this.#isPaused) return;
      const chunk = this.#kept[this.#given++] as Buffer;
      if (!consumer.data(chunk)) this.#isPaused = true;
    }
    if (!this.#consumer || this.#isPaused) return;
    if (this.#error) this.#consumer.fail(this.#error);
    else if (this.#trailers) this.#consumer.end(this.#trailers);
    else if (this.#isStarted) this.#source.resume();
    else {
      this.#isStarted = true;
      this.#source.start(this);
    }
  }
}
