/**
 * Bytes up to an empty line, gathered over as many reads as it takes, bounded. Heads nearly always come in
 * one read; then nothing is copied. A head sent byte by byte costs one copy a byte (the search goes on where
 * it stopped), so a slow dripper cannot make us quadratic.
 */
import { badResponse } from '../errors.ts';
import { CR, LF } from './grammar.ts';

const EMPTY = Buffer.alloc(0);
const TERMINATOR = Buffer.from('\r\n\r\n', 'latin1');

export class HeadBuffer {
  readonly #maxBytes: number;
  #bytes: Buffer = EMPTY;
  #length = 0;
  /** Where the caller's bytes go on behind the terminator, after {@link take} returned a text. */
  next = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * @param prefix bytes that count as read before (a trailer section begins behind a line end)
   * @returns the text up to and with the last line's CRLF, or undefined when more is needed
   * @throws RelayError bad-response when it is too long, or holds a line end that is not CRLF
   */
  take(chunk: Buffer, at: number, prefix = ''): string | undefined {
    if (this.#length === 0) {
      if (prefix === '') {
        const end = chunk.indexOf(TERMINATOR, at);
        if (end >= 0) return this.#found(chunk.toString('latin1', at, end + 2), end + 4);
      } else this.#append(Buffer.from(prefix, 'latin1'), 0);
    }
    return this.#gather(chunk, at);
  }

  #gather(chunk: Buffer, at: number): string | undefined {
    const before = this.#length;
    this.#append(chunk, at);
    const end = this.#bytes.subarray(0, this.#length).indexOf(TERMINATOR, Math.max(0, before - 3));
    if (end < 0) {
      // The terminator's own two bytes come on top of the text that the limit is for.
      if (this.#length > this.#maxBytes + 1) throw badResponse('head too long');
      this.#checkLineEnds(Math.max(1, before));
      return undefined;
    }
    const text = this.#bytes.toString('latin1', 0, end + 2);
    this.#length = 0;
    return this.#found(text, at + end + 4 - before);
  }

  #found(text: string, next: number): string {
    if (text.length > this.#maxBytes) throw badResponse('head too long');
    this.next = next;
    return text;
  }

  /** A server that ends lines with a bare LF would otherwise never come to a terminator and time out. */
  #checkLineEnds(from: number): void {
    for (let i = from; i < this.#length; i++)
      if (this.#bytes[i] === LF && this.#bytes[i - 1] !== CR) throw badResponse('bare LF');
  }

  /** Also where the limit is passed: one read more than it, at most. */
  #append(chunk: Buffer, at: number): void {
    const needed = this.#length + chunk.length - at;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2, 1024));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.#length, at);
    this.#length = needed;
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > 4096) this.#bytes = EMPTY;
  }
}
