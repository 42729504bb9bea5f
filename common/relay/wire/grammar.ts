/**
 * The character classes of RFC 9110, as tables: one load a character instead of a regular expression a
 * header. Strings here are latin1, one character a byte, as Node's HTTP parser hands them out.
 */

const TOKEN = 1;
const FIELD = 2;

/** `tchar` of RFC 9110 §5.6.2, and what may stand in a field value (§5.5): HTAB, SP, VCHAR, obs-text. */
const CLASSES = new Uint8Array(256);
for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  CLASSES[c.charCodeAt(0)] = TOKEN;
for (let code = 0x20; code < 0x100; code++)
  if (code !== 0x7f) CLASSES[code] = (CLASSES[code] as number) | FIELD;
CLASSES[0x09] = FIELD;

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;

/** A character above 255 cannot come from a byte, and indexing past the table is `undefined`: no class. */
export function isTokenCode(code: number): boolean {
  return ((CLASSES[code] as number) & TOKEN) !== 0;
}

export function isFieldCode(code: number): boolean {
  return ((CLASSES[code] as number) & FIELD) !== 0;
}

export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!isTokenCode(text.charCodeAt(i))) return false;
  return text.length > 0;
}

export function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!isFieldCode(text.charCodeAt(i))) return false;
  return true;
}

/** What a request target may hold once split from its line: anything but controls, space and DEL. */
export function isTargetText(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= SP || code === 0x7f || code > 0xff) return false;
  }
  return true;
}

/**
 * A Content-Length: digits only, and few enough (15) to be exact in a double. `1e3`, `+5`, `0x10`, `5, 5` and
 * an empty value are not lengths.
 * @returns -1 for anything else
 */
export function parseLength(text: string): number {
  if (text.length === 0 || text.length > 15) return -1;
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}
