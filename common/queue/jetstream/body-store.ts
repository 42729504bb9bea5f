/**
 * Bodies too large for one message: chunks of 128 KiB on stream SLIMFAAS_BODIES, one subject a body. The client
 * library's object store has two defects: it publishes as fast as it reads, and it delivers as fast as the server
 * sends. So a body of 1 GiB would pass through memory whole. Here at most 8 chunks are unconfirmed while writing, and
 * reading asks for each chunk.
 */
import { BODY_CHUNK_BYTES, BodyStoreError, UNCONFIRMED_MAX, type StoredBody } from '../body.ts';
import { BODIES_STREAM } from './streams.ts';
import { getStored, type JetStreamClient, type JetStreamManager } from './library.ts';

const PUBLISH_TIMEOUT_MS = 5_000;

/**
 * Stores a body chunk by chunk; on any failure what was stored is removed again, as far as the server answers.
 * @param name a NATS token, unique forever
 * @throws BodyStoreError `too-large` once more than `maxBytes` came; NatsError when the server does not confirm
 */
export async function storeBody(
  { js, jsm }: { js: JetStreamClient; jsm: JetStreamManager },
  name: string,
  chunks: AsyncIterable<Buffer>,
  maxBytes: number,
): Promise<StoredBody> {
  const writer = new ChunkWriter(js, name);
  try {
    for await (const chunk of chunks) {
      if (writer.size + chunk.length > maxBytes) {
        throw new BodyStoreError('too-large', `the body is larger than ${maxBytes} bytes`);
      }
      await writer.write(chunk);
    }
    await writer.finish();
    return { name, size: writer.size };
  } catch (error) {
    await writer.settled();
    await removeBody(jsm, name).catch(() => undefined); // else max_age removes it
    throw error;
  }
}

/** The chunks of a stored body in order. @throws BodyStoreError `incomplete` when it is not (or no longer) whole */
export async function* readStoredBody(jsm: JetStreamManager, body: StoredBody): AsyncGenerator<Buffer> {
  let sequence = 1;
  let size = 0;
  while (size < body.size) {
    const message = await getStored(jsm, BODIES_STREAM, {
      seq: sequence,
      next_by_subj: subjectOf(body.name),
    });
    if (!message)
      throw new BodyStoreError('incomplete', `body ${body.name}: ${size} of ${body.size} bytes are there`);
    sequence = message.seq + 1;
    size += message.data.length;
    yield Buffer.from(message.data);
  }
}

/** Removing what is not there is harmless. */
export async function removeBody(jsm: JetStreamManager, name: string): Promise<void> {
  await jsm.streams.purge(BODIES_STREAM, { filter: subjectOf(name) });
}

function subjectOf(name: string): string {
  return `slimfaas.body.${name}`;
}

class ChunkWriter {
  readonly #js: JetStreamClient;
  readonly #subject: string;
  readonly #unconfirmed = new Set<Promise<unknown>>();
  #parts: Buffer[] = [];
  #partBytes = 0;
  #failure: { error: unknown } | undefined;
  size = 0;

  constructor(js: JetStreamClient, name: string) {
    this.#js = js;
    this.#subject = subjectOf(name);
  }

  async write(chunk: Buffer): Promise<void> {
    this.size += chunk.length;
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + BODY_CHUNK_BYTES - this.#partBytes);
      this.#parts.push(part);
      this.#partBytes += part.length;
      at += part.length;
      if (this.#partBytes === BODY_CHUNK_BYTES) await this.#publish();
    }
  }

  async finish(): Promise<void> {
    if (this.#partBytes > 0) await this.#publish();
    await Promise.all(this.#unconfirmed);
    if (this.#failure) throw this.#failure.error;
  }

  /** Waits for what is under way, whatever its outcome: a purge before that would leave a late chunk behind. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#unconfirmed);
  }

  async #publish(): Promise<void> {
    // One publish is in order with the next on the same connection, so chunks need no number.
    const payload = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    const confirmed: Promise<unknown> = this.#js
      .publish(this.#subject, payload, { timeout: PUBLISH_TIMEOUT_MS })
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#unconfirmed.delete(confirmed));
    this.#unconfirmed.add(confirmed);
    if (this.#unconfirmed.size >= UNCONFIRMED_MAX) await Promise.race(this.#unconfirmed);
    if (this.#failure) throw this.#failure.error;
  }
}
