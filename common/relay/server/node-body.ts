/**
 * The body of a request to Node's server, unread until an upstream asks for it. While a call waits for a place, the
 * kernel and the client hold its bytes, beyond the 64 KiB that came with the head.
 */
import type { IncomingMessage } from 'node:http';
import { NO_BODY } from '../body/bodies.ts';
import { RelayError } from '../errors.ts';
import { fieldKind, safeTrailers } from '../wire/fields.ts';
import type { BodyConsumer, BodySource } from '../types.ts';

export function nodeBody(req: IncomingMessage): BodySource {
  if (!announcesBody(req)) return NO_BODY;
  const length = bodyLength(req.rawHeaders);
  return length === 0 ? NO_BODY : new NodeBody(req, length);
}

/** From the table that Node has made of the headers by now: most requests need no walk through them. */
export function announcesBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/** What the framing headers announce; undefined: chunked. 0 where there is no body, or an empty one. */
export function bodyLength(raw: readonly string[]): number | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const kind = fieldKind(raw[i] as string);
    if (kind === 'content-length') return Number(raw[i + 1]);
    if (kind === 'transfer-encoding') return undefined;
  }
  return 0;
}

class NodeBody implements BodySource {
  readonly #req: IncomingMessage;
  readonly length: number | undefined;
  readonly givesMemoryAway = true;
  #consumer: BodyConsumer | undefined;
  #isStarted = false;

  constructor(req: IncomingMessage, length: number | undefined) {
    this.#req = req;
    this.length = length;
  }

  get canStart(): boolean {
    return !this.#isStarted;
  }

  start(consumer: BodyConsumer): void {
    const req = this.#req;
    this.#isStarted = true;
    this.#consumer = consumer;
    if (req.destroyed && !req.complete) {
      queueMicrotask(() => this.#onGone());
      return;
    }
    req.on('end', () => this.#consumer?.end(safeTrailers(req.rawTrailers)));
    // An abort is an 'error' only for who listens to it; 'close' comes in any case.
    req.on('close', () => this.#onGone());
    req.on('data', (chunk: Buffer) => {
      if (this.#consumer?.data(chunk) === false) req.pause();
    });
    req.resume();
  }

  pause(): void {
    this.#req.pause();
  }

  resume(): void {
    this.#req.resume();
  }

  /** The rest is read and dropped, so that the connection can carry the next request. */
  stop(): void {
    this.#consumer = undefined;
    if (this.#isStarted) this.#req.resume();
  }

  #onGone(): void {
    if (this.#req.complete) return;
    const consumer = this.#consumer;
    this.#consumer = undefined;
    consumer?.fail(new RelayError('caller-gone', 'the caller left in the middle of its body'));
  }
}
