/**
 * Answers from bytes, as they come: one parser a connection, one answer after another. It holds no body
 * bytes: each read is handed on as slices of itself. Whatever is not HTTP/1.1 to the letter throws, and the
 * connection is then good for nothing.
 */
import { badResponse } from '../errors.ts';
import { ChunkSize } from './chunk-size.ts';
import { CR, LF } from './grammar.ts';
import { HeadBuffer } from './head-buffer.ts';
import { parseFields, parseResponseHead, type ParsedHead } from './response-head.ts';
import { safeTrailers } from './fields.ts';
import type { RawHeaders, ResponseHead } from '../types.ts';

export interface ResponseHandler {
  onInformational(head: ResponseHead): void;
  onHead(parsed: ParsedHead): void;
  /** The memory is the read buffer's. */
  onData(chunk: Buffer): void;
  onEnd(trailers: RawHeaders): void;
}

/** `idle`: no answer is due. `stopped`: the handler wants nothing more of this connection. */
type Position =
  | 'idle'
  | 'head'
  | 'length'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-cr'
  | 'chunk-lf'
  | 'trailers'
  | 'until-close'
  | 'stopped';

/** A server that only ever says 102 would hold a caller past every limit but the clock. */
const MAX_INFORMATIONAL = 32;
const NO_TRAILERS: RawHeaders = [];

export class ResponseParser {
  readonly #text: HeadBuffer;
  readonly #chunkSize = new ChunkSize();
  #handler: ResponseHandler | undefined;
  #place: Position = 'idle';
  #isHead = false;
  #informational = 0;
  /** Bytes left of the body or chunk. */
  #left = 0;
  /** Whether a byte of the present answer has come. */
  hasBegun = false;

  constructor(maxHeadBytes: number) {
    this.#text = new HeadBuffer(maxHeadBytes);
  }

  /** An answer is due; `isHead`: to a HEAD. */
  begin(handler: ResponseHandler, isHead: boolean): void {
    this.#handler = handler;
    this.#isHead = isHead;
    this.#place = 'head';
    this.#informational = 0;
    this.hasBegun = false;
  }

  get isDone(): boolean {
    return this.#place === 'idle';
  }

  /** From within a handler's call too: nothing more is handed out. */
  stop(): void {
    this.#place = 'stopped';
    this.#handler = undefined;
    this.#text.clear();
  }

  /**
   * @returns how many bytes were used; fewer than came when the answer ended before them
   * @throws RelayError bad-response
   */
  feed(chunk: Buffer): number {
    let at = 0;
    if (chunk.length > 0 && this.#place !== 'idle') this.hasBegun = true;
    while (at < chunk.length && this.#place !== 'idle') {
      if (this.#place === 'stopped') return chunk.length;
      at = this.#step(chunk, at);
    }
    return at;
  }

  /**
   * The connection has ended.
   * @returns true when that is where the answer ends; false when it was cut
   */
  finish(): boolean {
    if (this.#place !== 'until-close') return this.#place === 'idle';
    this.#end(NO_TRAILERS);
    return true;
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#place) {
      case 'head':
        return this.#head(chunk, at);
      case 'length':
      case 'chunk-data':
      case 'until-close':
        return this.#data(chunk, at);
      case 'chunk-size':
        return this.#size(chunk, at);
      case 'chunk-cr':
        if (chunk[at] !== CR) throw badResponse('chunk longer than its size');
        this.#place = 'chunk-lf';
        return at + 1;
      case 'chunk-lf':
        if (chunk[at] !== LF) throw badResponse('chunk without its line end');
        this.#place = 'chunk-size';
        return at + 1;
      case 'trailers':
        return this.#trailers(chunk, at);
      default:
        return chunk.length;
    }
  }

  #head(chunk: Buffer, at: number): number {
    if (this.#text.isEmpty && chunk[at] !== 0x48) throw badResponse('not an HTTP/1.1 answer');
    const text = this.#text.take(chunk, at);
    if (text === undefined) return chunk.length;
    const parsed = parseResponseHead(text, this.#isHead);
    const next = this.#text.next;
    if (parsed.head.status < 200) this.#informationalHead(parsed.head);
    else this.#finalHead(parsed);
    return next;
  }

  #informationalHead(head: ResponseHead): void {
    // We never ask for an upgrade, so a switch would be to a protocol that nobody named.
    if (head.status === 101) throw badResponse('101 without an Upgrade');
    if (++this.#informational > MAX_INFORMATIONAL) throw badResponse('too many informational answers');
    this.#handler?.onInformational(head);
  }

  #finalHead(parsed: ParsedHead): void {
    const { framing, length } = parsed;
    this.#left = length;
    const isEmpty = framing === 'none' || (framing === 'length' && length === 0);
    if (framing === 'chunked') {
      this.#chunkSize.begin();
      this.#place = 'chunk-size';
    } else if (framing !== 'none') this.#place = framing;
    this.#handler?.onHead(parsed);
    if (isEmpty && this.#place !== 'stopped') this.#end(NO_TRAILERS);
  }

  #data(chunk: Buffer, at: number): number {
    const available = chunk.length - at;
    const isUntilClose = this.#place === 'until-close';
    const size = isUntilClose ? available : Math.min(available, this.#left);
    const isInChunk = this.#place === 'chunk-data';
    if (!isUntilClose) this.#left -= size;
    this.#handler?.onData(at === 0 && size === chunk.length ? chunk : chunk.subarray(at, at + size));
    if (isUntilClose || this.#left > 0 || this.#place === 'stopped') return at + size;
    if (isInChunk) this.#place = 'chunk-cr';
    else this.#end(NO_TRAILERS);
    return at + size;
  }

  #size(chunk: Buffer, at: number): number {
    const next = this.#chunkSize.feed(chunk, at);
    if (next < 0) return chunk.length;
    this.#left = this.#chunkSize.size;
    this.#place = this.#left === 0 ? 'trailers' : 'chunk-data';
    return next;
  }

  /** The section follows a line end, so that an empty one is the terminator itself. */
  #trailers(chunk: Buffer, at: number): number {
    const text = this.#text.take(chunk, at, '\r\n');
    if (text === undefined) return chunk.length;
    const next = this.#text.next;
    const fields = text.length > 2 ? parseFields(text, 2, () => true) : NO_TRAILERS;
    this.#end(safeTrailers(fields));
    return next;
  }

  #end(trailers: RawHeaders): void {
    const handler = this.#handler;
    this.#place = 'idle';
    this.#handler = undefined;
    handler?.onEnd(trailers);
  }
}
