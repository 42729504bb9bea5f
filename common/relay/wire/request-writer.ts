/**
 * Request heads and chunk framing as text. A latin1 string is the cheapest thing to give to a socket. Node copies up
 * to 16 KiB of it onto the C stack and tries the write at once, without a buffer object.
 */
import { fieldKind } from './fields.ts';
import type { BodySource, RawHeaders, RequestHead, RelayTarget } from '../types.ts';

export interface WrittenHead {
  readonly text: string;
  readonly isChunked: boolean;
  /** The length promised to the upstream; -1 when chunked. */
  readonly length: number;
  /** `Expect: 100-continue`: the body waits for leave. */
  readonly expectsContinue: boolean;
}

/**
 * Headers pass as they are, and where they frame the body, they decide how it is framed. What the message
 * needs and they lack is added at the end: Host, Content-Length or Transfer-Encoding.
 * @param greeting header lines that stand first
 */
export function writeHead(
  head: RequestHead,
  body: BodySource,
  target: RelayTarget,
  greeting = '',
): WrittenHead {
  const { headers } = head;
  let text = `${head.method} ${head.path} HTTP/1.1\r\n${greeting}`;
  let hasHost = false;
  let isChunked = false;
  let length = -1;
  let expectsContinue = false;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    const kind = fieldKind(name);
    if (kind === 'host') hasHost = true;
    else if (kind === 'content-length') length = Number(value);
    else if (kind === 'transfer-encoding') isChunked = true;
    else if (kind === 'expect') expectsContinue = value.toLowerCase() === '100-continue';
    text += `${name}: ${value}\r\n`;
  }
  if (!hasHost) text += `Host: ${hostOf(target)}\r\n`;
  if (!isChunked && length < 0) {
    isChunked = body.length === undefined;
    length = body.length ?? -1;
    if (isChunked) text += 'Transfer-Encoding: chunked\r\n';
    else if (length > 0) text += `Content-Length: ${length}\r\n`;
  }
  text += '\r\n';
  return { text, isChunked, length: isChunked ? -1 : length, expectsContinue };
}

function hostOf(target: RelayTarget): string {
  return target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}

/** The last chunk and the trailer section. */
export function writeTrailers(trailers: RawHeaders): string {
  if (trailers.length === 0) return '0\r\n\r\n';
  let text = '0\r\n';
  for (let i = 0; i + 1 < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  return `${text}\r\n`;
}
