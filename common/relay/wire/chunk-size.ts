/**
 * The line before each chunk of a chunked body, byte by byte: `1a;name=value` CRLF. Extensions are checked,
 * counted and dropped, as RFC 9112 §7.1.1 lets a recipient do.
 */
import { badResponse } from '../errors.ts';
import { CR, LF, isFieldCode } from './grammar.ts';

/** 13 hex digits stay exact in a double (2^52); leading zeros count too. */
const MAX_DIGITS = 13;
/** Over a whole body: extensions are overhead that a hostile upstream could make us read forever. */
const MAX_EXTENSION_BYTES = 16_384;
const SEMICOLON = 0x3b;

type Position = 'digits' | 'extension' | 'line-feed';

export class ChunkSize {
  #place: Position = 'digits';
  #digits = 0;
  #extensionBytes = 0;
  /** The chunk's size, once {@link feed} has returned a position. */
  size = 0;

  /** A new body. */
  begin(): void {
    this.#extensionBytes = 0;
    this.#nextLine();
  }

  /**
   * @returns the position behind the line, or -1 when it goes on in the next read
   * @throws RelayError bad-response
   */
  feed(chunk: Buffer, at: number): number {
    for (let i = at; i < chunk.length; i++) {
      const code = chunk[i] as number;
      if (this.#place === 'digits') this.#digit(code);
      else if (this.#place === 'extension') this.#extension(code);
      else {
        if (code !== LF) throw badResponse('bare CR in a chunk size');
        this.#place = 'digits';
        this.#digits = 0;
        return i + 1;
      }
    }
    return -1;
  }

  #nextLine(): void {
    this.#place = 'digits';
    this.#digits = 0;
    this.size = 0;
  }

  #digit(code: number): void {
    const value = hexValue(code);
    if (value >= 0) {
      if (this.#digits === 0) this.size = 0;
      if (++this.#digits > MAX_DIGITS) throw badResponse('chunk size too large');
      this.size = this.size * 16 + value;
      return;
    }
    if (this.#digits === 0 || (code !== CR && code !== SEMICOLON)) throw badResponse('bad chunk size');
    this.#place = code === CR ? 'line-feed' : 'extension';
  }

  #extension(code: number): void {
    if (code === CR) this.#place = 'line-feed';
    else if (!isFieldCode(code)) throw badResponse('bad chunk extension');
    else if (++this.#extensionBytes > MAX_EXTENSION_BYTES) throw badResponse('chunk extensions too long');
  }
}

/** -1 for anything but a hex digit. */
function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
