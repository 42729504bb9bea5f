/**
 * Paths of requests and of rules in one form, so that a rule holds however a path is written. A server behind us may
 * decode, collapse or resolve a path before it routes, and we cannot know how. So a path has a reading only where
 * all servers agree on it; what servers read differently has none. Pure.
 */

/** Visible ASCII without an escape, a backslash or `#`. */
const PLAIN = /^\/[!"$&-[\]-~]*$/;

/**
 * The decoded text of a path that every server reads alike.
 * @param path as it came, without the query; one character a byte, as Node gives it
 * @returns undefined when servers may disagree: `//`, a backslash, `#`, dot segments, an escaped slash, an escape within
 * an escape, a broken escape, control characters, bytes that are not UTF-8
 */
export function readPath(path: string): string | undefined {
  if (PLAIN.test(path) && !/\/[/.]/.test(path)) return path; // nearly every path
  if (/#|%2f/i.test(path) || /%(?![0-9a-f]{2})/i.test(path)) return undefined;
  const text = decode(path);
  if (text === undefined || /%[0-9a-f]{2}/i.test(text)) return undefined;
  return isUnambiguous(text) ? text : undefined;
}

/** Whether a decoded path has no part that some servers resolve and others keep. */
export function isUnambiguous(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- that is what it looks for
  return text.startsWith('/') && !/[\0-\x1f\x7f\\]|\/\/|\/[. ]*\.[. ]*(?:\/|$)/.test(text);
}

/** Path parameters cut off, as some servers do before they route: `/a;v=1/b` is `/a/b`. */
export function withoutParameters(text: string): string {
  return text.includes(';') ? text.replaceAll(/;[^/]*/g, '') : text;
}

/** Letter case and Unicode's look-alikes folded, as lenient routers do. */
export function foldPath(text: string): string {
  // oxlint-disable-next-line no-control-regex -- ASCII ends at 0x7f
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  return text.normalize('NFKC').toUpperCase().toLowerCase();
}

/** Escapes within escapes are peeled that often. */
const MAX_DECODES = 5;

/**
 * A rule's prefix in canonical form: decoded, `//` and backslashes made one slash, dot segments resolved, and escaped
 * again where a path must be. A slash at its end stays. Twice is the same as once.
 */
export function canonicalPrefix(written: string): string {
  return escape(prefixText(written));
}

/** The same, decoded: what {@link readPath} gives begins with it. */
export function prefixText(written: string): string {
  let text = written;
  for (let i = 0; i < MAX_DECODES && text.includes('%'); i++) text = decodeLoosely(text);
  const segments = text.replaceAll('\\', '/').split('/');
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const isFolder = kept.length > 0 && /^\.{0,2}$/.test(segments.at(-1) ?? '');
  return `/${kept.join('/')}${isFolder ? '/' : ''}`;
}

function decode(path: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- one character a byte ends at 0xff
  const bytes = Buffer.from(path, /^[\0-\xff]*$/.test(path) ? 'latin1' : 'utf8').toString('latin1');
  const plain = bytes.replaceAll(/%[0-9a-f]{2}/gi, (escaped) =>
    String.fromCharCode(Number.parseInt(escaped.slice(1), 16)),
  );
  try {
    return UTF8.decode(Buffer.from(plain, 'latin1'));
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes every valid escape and leaves broken ones. */
function decodeLoosely(text: string): string {
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return run;
    }
  });
}

function escape(text: string): string {
  return encodeURI(text.toWellFormed()).replaceAll(/[?#]/g, encodeURIComponent);
}
