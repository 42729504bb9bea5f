/**
 * Tells HTTP/1.x from anything else by the first bytes of a connection, and asks for one answer only. The connection
 * was made while the function slept. With `Connection: close` its client makes the next one by the Service again,
 * which leads to the pod by then. Nothing else of a request is changed. Pure.
 */

export type FirstBytes =
  /** It may still become HTTP. */
  | { readonly kind: 'more' }
  /** No HTTP/1.x, or an upgrade: all bytes as they are. */
  | { readonly kind: 'raw' }
  /** The head as it is to be sent; the rest begins at `length`. */
  | { readonly kind: 'http'; readonly head: Buffer; readonly length: number };

/** A longer head is passed on as it is: then its client stays. */
const MOST_HEAD = 16 * 1024;
const REQUEST_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP\/1\.[01]\r?\n/;
const LINE_START = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+( [^\r\n]*)?\r?$/;

/** The first line is that of a request, as far as it is there. */
export function looksLikeHttp(bytes: Buffer): boolean {
  const text = bytes.subarray(0, MOST_HEAD).toString('latin1');
  return text.includes('\n') ? REQUEST_LINE.test(text) : LINE_START.test(text);
}

export function readFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes.length === 0) return { kind: 'more' };
  if (!looksLikeHttp(bytes)) return { kind: 'raw' };
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return { kind: bytes.length < MOST_HEAD ? 'more' : 'raw' };
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  if (lines.some((line) => /^upgrade\s*:/i.test(line))) return { kind: 'raw' };
  // A line that goes on in the next one (obsolete folding) is not for us to take apart.
  if (lines.some((line) => /^[ \t]/.test(line))) return { kind: 'raw' };
  const text = [first, ...withClose(lines), '', ''].join('\r\n');
  return { kind: 'http', head: Buffer.from(text, 'latin1'), length: end + 4 };
}

/** Other options of the connection stay. */
function withClose(lines: readonly string[]): string[] {
  const isConnection = (line: string) => /^connection\s*:/i.test(line);
  const options = lines
    .filter(isConnection)
    .flatMap((line) => line.slice(line.indexOf(':') + 1).split(','))
    .map((option) => option.trim())
    .filter((option) => option !== '' && !/^(keep-alive|close)$/i.test(option));
  const others = lines.filter((line) => !isConnection(line));
  return [...others, `Connection: ${[...options, 'close'].join(', ')}`];
}
