/**
 * Bodies too large for one message: chunks of 128 KiB on stream SLIMFAAS_BODIES. A chunk has a subject of its own, with
 * its number, so that it is found by its subject and a permission can say whose it is. Chunks of a body whose name is of
 * one token, for sidecars of 0.1.0, share one. The client
 * library's object store has two defects: it publishes as fast as it reads, and it delivers as fast as the server
 * sends. So a body of 1 GiB would pass through memory whole. Here at most 8 chunks are unconfirmed while writing, and
 * reading asks for each chunk.
 */
import {
  BODY_CHUNK_BYTES,
  BodyStoreError,
  isOldBodyName,
  UNCONFIRMED_MAX,
  type StoredBody,
} from '../../body.ts';
import type { ReadChunk } from '../../body-wish.ts';
import { BODIES_STREAM } from '../streams.ts';
import { getLast, getStored, type JetStreamClient, type JetStreamManager } from '../library.ts';

const PUBLISH_TIMEOUT_MS = 5_000;

/**
 * Stores a body chunk by chunk; on any failure what was stored is removed again, as far as the server answers.
 * @param name unique forever, see `bodyName`
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

/** The chunk after that one, number 0 where there is none. */
export type ReadNext = (name: string, after: number) => Promise<ReadChunk>;

/**
 * Reads a stored body, chunk by chunk.
 * @throws BodyStoreError `incomplete` when it is not (or no longer) whole
 */
export async function* readStoredBody(body: StoredBody, readNext: ReadNext): AsyncGenerator<Buffer> {
  let after = 0;
  let size = 0;
  while (size < body.size) {
    const { number, data } = await readNext(body.name, after);
    if (number === 0)
      throw new BodyStoreError('incomplete', `body ${body.name}: ${size} of ${body.size} bytes are there`);
    after = number;
    size += data.length;
    yield Buffer.from(data);
  }
}

export async function readChunk(jsm: JetStreamManager, name: string, after: number): Promise<ReadChunk> {
  if (isOldBodyName(name)) {
    const message = await getStored(jsm, BODIES_STREAM, { seq: after + 1, next_by_subj: subjectOf(name) });
    return message ? { number: message.seq, data: message.data } : NONE;
  }
  const message = await getLast(jsm, BODIES_STREAM, chunkSubject(name, after + 1));
  return message ? { number: after + 1, data: message.data } : NONE;
}

const NONE: ReadChunk = { number: 0, data: new Uint8Array(0) };

/** Removing what is not there is harmless. */
export async function removeBody(jsm: JetStreamManager, name: string): Promise<void> {
  const filter = isOldBodyName(name) ? subjectOf(name) : `${subjectOf(name)}.*`;
  await jsm.streams.purge(BODIES_STREAM, { filter });
}

/**
 * Which of these bodies have their first chunk in the store. It is one question for each function, and one for all names of
 * one token.
 */
export async function bodiesLeft(jsm: JetStreamManager, names: readonly string[]): Promise<Set<string>> {
  const wanted = new Set(names);
  const left = new Set<string>();
  for (const subjects_filter of new Set(names.map(filterOf))) {
    const { state } = await jsm.streams.info(BODIES_STREAM, { subjects_filter });
    for (const subject of Object.keys(state.subjects ?? {})) {
      const name = subject.split('.').slice(2, 5).join('.');
      if (wanted.has(name)) left.add(name);
    }
  }
  return left;
}

/** Covers the first chunk of each body of its function. */
function filterOf(name: string): string {
  if (isOldBodyName(name)) return subjectOf('*');
  const [namespace, fn] = name.split('.');
  return subjectOf(`${namespace}.${fn}.*.1`);
}

function subjectOf(name: string): string {
  return `slimfaas.body.${name}`;
}

/** @param number from 1 */
function chunkSubject(name: string, number: number): string {
  return isOldBodyName(name) ? subjectOf(name) : `${subjectOf(name)}.${number}`;
}

class ChunkWriter {
  readonly #js: JetStreamClient;
  readonly #name: string;
  readonly #unconfirmed = new Set<Promise<unknown>>();
  #parts: Buffer[] = [];
  #partBytes = 0;
  #chunks = 0;
  #failure: { error: unknown } | undefined;
  size = 0;

  constructor(js: JetStreamClient, name: string) {
    this.#js = js;
    this.#name = name;
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
    // One publish is in order with the next on the same connection.
    const payload = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    const confirmed: Promise<unknown> = this.#js
      .publish(chunkSubject(this.#name, ++this.#chunks), payload, { timeout: PUBLISH_TIMEOUT_MS })
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#unconfirmed.delete(confirmed));
    this.#unconfirmed.add(confirmed);
    if (this.#unconfirmed.size >= UNCONFIRMED_MAX) await Promise.race(this.#unconfirmed);
    if (this.#failure) throw this.#failure.error;
  }
}
