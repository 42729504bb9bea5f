/**
 * Bodies that do not come from Node's server: none, in memory, or from any async iterable.
 */
import { RelayError } from '../errors.ts';
import type { BodyConsumer, BodySource } from '../types.ts';

/** A request without a body. */
export const NO_BODY: BodySource = {
  length: 0,
  canStart: true,
  start: (consumer) => consumer.end([]),
  pause: () => undefined,
  resume: () => undefined,
  stop: () => undefined,
};

/** A body in memory: stored jobs. Can be sent any number of times. */
export function bufferBody(bytes: Buffer): BodySource {
  return bytes.length === 0 ? NO_BODY : { ...NO_BODY, length: bytes.length, bytes };
}

/**
 * A body from any async iterable (an object store): sent once.
 * @param length when known; a source that gives another length fails the exchange
 */
export function iterableBody(chunks: AsyncIterable<Uint8Array>, length?: number): BodySource {
  return new IterableBody(chunks, length);
}

class IterableBody implements BodySource {
  readonly length: number | undefined;
  readonly #chunks: AsyncIterable<Uint8Array>;
  #isStarted = false;
  #isStopped = false;
  #resume: (() => void) | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>, length: number | undefined) {
    this.#chunks = chunks;
    this.length = length;
  }

  get canStart(): boolean {
    return !this.#isStarted;
  }

  start(consumer: BodyConsumer): void {
    this.#isStarted = true;
    this.#pump(consumer).catch((error: unknown) =>
      consumer.fail(new RelayError('bad-body', 'reading the body failed', { cause: error })),
    );
  }

  /** The pump pauses by itself where the consumer says so. */
  pause(): void {}

  resume(): void {
    this.#resume?.();
  }

  stop(): void {
    this.#isStopped = true;
    this.#resume?.();
  }

  async #pump(consumer: BodyConsumer): Promise<void> {
    for await (const chunk of this.#chunks) {
      if (this.#isStopped) return; // leaving the loop returns the iterator: the store stops reading
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      if (!consumer.data(bytes)) await new Promise<void>((resolve) => (this.#resume = resolve));
      this.#resume = undefined;
    }
    if (!this.#isStopped) consumer.end([]);
  }
}
