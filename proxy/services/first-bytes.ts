/**
 * Tells HTTP/1.x from anything else by the first bytes of a connection, and asks for one answer only. The connection
 * was made while the function slept. With `Connection: close` its client makes the next one by the Service again,
 * which leads to the pod by then. Nothing else of a request is changed.
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
/** How a first line goes on, in its method and behind it. */
const MORE_METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*( [^\r\n]*)?\r?$/;
const MORE_LINE = /^[^\r\n]*\r?$/;
const END_OF_HEAD = '\r\n\r\n';

/** The first line is that of a request, as far as it is there. */
export function looksLikeHttp(bytes: Buffer): boolean {
  const text = bytes.subarray(0, MOST_HEAD).toString('latin1');
  return text.includes('\n') ? REQUEST_LINE.test(text) : LINE_START.test(text);
}

/** Reads one connection. Bytes may come one at a time: none is looked at again while the head is not whole. */
export class FirstBytesReader {
  /** What is before needs no second look. */
  #looked = 0;
  #hasMethod = false;
  #hasFirstLine = false;

  /** @param bytes all that came, those of the call before included */
  read(bytes: Buffer): FirstBytes {
    if (bytes.length === 0) return { kind: 'more' };
    if (!this.#hasFirstLine && !this.#readFirstLine(bytes)) return { kind: 'raw' };
    if (this.#hasFirstLine) {
      const end = bytes.indexOf(END_OF_HEAD, this.#looked);
      if (end >= 0) return withOneAnswer(bytes, end);
      // A part of the end may have come.
      this.#looked = Math.max(this.#looked, bytes.length - END_OF_HEAD.length + 1);
    }
    return { kind: bytes.length < MOST_HEAD ? 'more' : 'raw' };
  }

  /** @returns false where it is no request's */
  #readFirstLine(bytes: Buffer): boolean {
    const newline = bytes.indexOf('\n', this.#looked);
    if (newline >= 0) {
      this.#hasFirstLine = true;
      this.#looked = newline - 1; // the end of a head without fields begins with that of its first line
      return REQUEST_LINE.test(bytes.toString('latin1', 0, newline + 1));
    }
    const more = bytes.toString('latin1', this.#looked);
    const form = this.#looked === 0 ? LINE_START : this.#hasMethod ? MORE_LINE : MORE_METHOD;
    this.#hasMethod ||= more.includes(' ');
    this.#looked = bytes.length - (more.endsWith('\r') ? 1 : 0);
    return form.test(more);
  }
}

function withOneAnswer(bytes: Buffer, end: number): FirstBytes {
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  if (lines.some((line) => /^upgrade\s*:/i.test(line))) return { kind: 'raw' };
  // A line that goes on in the next one (obsolete folding) is not for us to take apart.
  if (lines.some((line) => /^[ \t]/.test(line))) return { kind: 'raw' };
  const text = [first, ...withClose(lines), '', ''].join('\r\n');
  return { kind: 'http', head: Buffer.from(text, 'latin1'), length: end + END_OF_HEAD.length };
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
