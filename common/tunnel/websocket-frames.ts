/**
 * Follows a WebSocket's frames (RFC 6455 § 5.2) just far enough to know where one ends, so that a close frame
 * can be put between two of them. It reads lengths and opcodes, never payloads.
 */

const OPCODE_CLOSE = 0x8;

/** 2 bytes, up to 8 of extended length, 4 of mask. */
const LONGEST_HEADER = 14;

export class FrameTracker {
  readonly #header = Buffer.alloc(LONGEST_HEADER);
  #headerBytes = 0;
  #payloadLeft = 0;
  #hasClosed = false;

  /** Between two frames, where one of ours may stand. */
  get isAtBoundary(): boolean {
    return this.#headerBytes === 0 && this.#payloadLeft === 0;
  }

  /** A close frame went by: nothing may follow it. */
  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /**
   * Reads on in `chunk`; returns how many bytes it took: all, or with `stopAtBoundary` those up to the end of
   * the frame that is under way.
   */
  advance(chunk: Buffer, stopAtBoundary = false): number {
    let i = 0;
    while (i < chunk.length) {
      if (stopAtBoundary && this.isAtBoundary) return i;
      i += this.#payloadLeft > 0 ? this.#skip(chunk.length - i) : this.#readHeader(chunk[i] as number);
    }
    return i;
  }

  #skip(available: number): number {
    const skipped = Math.min(this.#payloadLeft, available);
    this.#payloadLeft -= skipped;
    return skipped;
  }

  #readHeader(byte: number): 1 {
    this.#header[this.#headerBytes++] = byte;
    if (this.#headerBytes >= 2 && this.#headerBytes === this.#headerLength()) this.#beginPayload();
    return 1;
  }

  #headerLength(): number {
    const second = this.#header[1] as number;
    const mask = (second & 0x80) === 0 ? 0 : 4;
    const length7 = second & 0x7f;
    return 2 + mask + (length7 === 127 ? 8 : length7 === 126 ? 2 : 0);
  }

  #beginPayload(): void {
    const length7 = (this.#header[1] as number) & 0x7f;
    if (length7 === 127) this.#payloadLeft = Number(this.#header.readBigUInt64BE(2));
    else this.#payloadLeft = length7 === 126 ? this.#header.readUInt16BE(2) : length7;
    if (((this.#header[0] as number) & 0x0f) === OPCODE_CLOSE) this.#hasClosed = true;
    this.#headerBytes = 0;
  }
}

/** A server's close frame: unmasked, status code and reason. */
export function closeFrame(code: number, reason: string): Buffer {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]).subarray(0, 125);
  payload.writeUInt16BE(code, 0);
  return Buffer.concat([Buffer.from([0x80 | OPCODE_CLOSE, payload.length]), payload]);
}
