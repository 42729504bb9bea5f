/**
 * What is wrong with bytes that Node's parser refused, in words for their sender. It has Node's codes and reasons
 * (`HPE_…`) and, if known, the method or byte that they are about. Pure.
 */
import { METHODS } from 'node:http';

/** Node's error of a request that could not be parsed. */
export interface ParseError {
  readonly code?: string;
  /** The parser's own words. */
  readonly reason?: string;
  readonly bytesParsed?: number;
  /** The bytes that came last. */
  readonly rawPacket?: Buffer;
}

/** At most so much of a client's text is quoted in the answer to it. */
const MOST_SHOWN = 20;
/** First byte of a TLS connection. */
const TLS_HANDSHAKE = 0x16;

export function describeMalformed(error: ParseError): string {
  switch (error.code) {
    case 'HPE_INVALID_METHOD':
      return wrongMethod(error);
    case 'HPE_INVALID_URL':
      return wrongPath(error);
    case 'HPE_INVALID_VERSION':
    case 'HPE_INVALID_CONSTANT':
      return `the request line must be "METHOD /path HTTP/1.1", one space between each; ${words(error)}`;
    case 'HPE_INVALID_HEADER_TOKEN':
      return `a header line must be "Name: value" on one line, without control characters and without white space before the colon; ${words(error)}`;
    case 'HPE_CR_EXPECTED':
    case 'HPE_LF_EXPECTED':
      return `each line of the head must end with CR LF; ${words(error)}`;
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
    case 'HPE_INVALID_CONTENT_LENGTH':
      return `a request has one Content-Length, a whole number, and none beside Transfer-Encoding; ${words(error)}`;
    case 'HPE_INVALID_TRANSFER_ENCODING':
      return `a request has one Transfer-Encoding, "chunked", and none beside Content-Length; ${words(error)}`;
    case 'HPE_INVALID_CHUNK_SIZE':
    case 'HPE_STRICT':
      return `the body is not valid chunked coding; ${words(error)}`;
    default:
      return `the request is not valid HTTP/1.1; ${words(error)}`;
  }
}

/** The parser's own words: `the parser says: Invalid header token`. */
function words({ reason, code }: ParseError): string {
  return `the parser says: ${reason ?? code ?? 'nothing'}`;
}

function wrongMethod({ rawPacket, bytesParsed = 0 }: ParseError): string {
  if (rawPacket?.[0] === TLS_HANDSHAKE) return 'this port does not speak TLS; use http://';
  const known = `known are ${METHODS.join(', ')}`;
  // Behind an earlier request of the same packet it is not known where this one begins.
  const token = bytesParsed <= MOST_SHOWN ? /^[!-~]{1,20}(?= )/.exec(start(rawPacket))?.[0] : undefined;
  return token === undefined
    ? `the request does not begin with a method; ${known}`
    : `the method ${JSON.stringify(token)} is not known here; ${known}`;
}

function start(packet: Buffer | undefined): string {
  return packet?.toString('latin1', 0, MOST_SHOWN + 1) ?? '';
}

function wrongPath({ rawPacket, bytesParsed = 0 }: ParseError): string {
  const at = rawPacket?.subarray(Math.max(0, bytesParsed - 2)).find((byte) => byte < 0x21 || byte > 0x7e);
  if (at === undefined) return 'the path has a byte that must be percent-encoded';
  const hex = at.toString(16).toUpperCase().padStart(2, '0');
  return `the path has the byte 0x${hex}; write it as %${hex}`;
}
