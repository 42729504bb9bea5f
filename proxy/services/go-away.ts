/**
 * Asks the client of an HTTP/2 connection to connect again, on a connection whose bytes are passed on as they are.
 * Between two frames of the server it puts a GOAWAY of its own. That names no last stream, so all streams that the
 * client has begun, or begins before it has read it, run to their end. Then a client connects again by the Service.
 *
 * It reads no more of the server's bytes than the heads of frames. What does not begin as HTTP/2 is not looked at.
 */
import { Transform, type TransformCallback } from 'node:stream';

/** RFC 9113, 4.1: length (3 bytes), type, flags, stream (4 bytes). */
const HEADER_BYTES = 9;
const SETTINGS = 4;
const SETTING_BYTES = 6;
/** HEADERS, PUSH_PROMISE and CONTINUATION: fields go on in the next frame, unless the last flag says that they end. */
const WITH_FIELDS: ReadonlySet<number> = new Set([1, 5, 9]);
const END_HEADERS = 0x4;
/** Type 7 on stream 0, 8 bytes: the highest stream that there may be, and NO_ERROR. */
const GO_AWAY = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
const PREFACE = 'PRI * HTTP/2.0\r\n\r\n';

/** What a client sends first on HTTP/2 without TLS. */
export function isHttp2Preface(bytes: Buffer): boolean {
  return bytes.subarray(0, PREFACE.length).toString('latin1') === PREFACE;
}

export class GoAwayBetweenFrames extends Transform {
  #header = Buffer.alloc(0);
  /** How many bytes of the frame under way are still to come. */
  #left = 0;
  /** RFC 9113, 6.10: no other frame may come between those of one block of fields. */
  #isInBlock = false;
  #state: 'new' | 'frames' | 'other' = 'new';
  #isDue = false;

  /** Once, between the next two frames; nothing on a connection that is not HTTP/2, or whose server has ended. */
  goAway(): void {
    if (this.#state !== 'frames' || this.writableEnded || this.destroyed) return;
    this.#isDue = true;
    if (this.#isBetween) this.#say();
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    let sent = 0;
    let at = 0;
    while (this.#state !== 'other' && at < chunk.length) {
      at += this.#read(chunk, at);
      if (!this.#isDue || !this.#isBetween) continue;
      this.push(chunk.subarray(sent, at));
      sent = at;
      this.#say();
    }
    if (sent < chunk.length) this.push(chunk.subarray(sent));
    done();
  }

  get #isBetween(): boolean {
    return this.#left === 0 && this.#header.length === 0 && !this.#isInBlock;
  }

  /** @returns how many bytes it took */
  #read(chunk: Buffer, at: number): number {
    if (this.#left > 0) {
      const taken = Math.min(this.#left, chunk.length - at);
      this.#left -= taken;
      return taken;
    }
    const taken = chunk.subarray(at, at + HEADER_BYTES - this.#header.length);
    this.#header = Buffer.concat([this.#header, taken]);
    if (this.#header.length === HEADER_BYTES) this.#begin(this.#header);
    return taken.length;
  }

  #begin(header: Buffer): void {
    this.#header = Buffer.alloc(0);
    this.#left = header.readUIntBE(0, 3);
    const [type = 0, flags = 0] = header.subarray(3);
    this.#isInBlock = WITH_FIELDS.has(type) && (flags & END_HEADERS) === 0;
    if (this.#state !== 'new') return;
    const isSettings = type === SETTINGS && this.#left % SETTING_BYTES === 0 && header.readUInt32BE(5) === 0;
    this.#state = isSettings ? 'frames' : 'other';
  }

  #say(): void {
    this.#isDue = false;
    this.push(GO_AWAY);
  }
}
