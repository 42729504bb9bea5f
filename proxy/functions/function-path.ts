/**
 * Takes a request target apart without decoding what belongs to the function: `/function/{fn}/{path}?query`
 * yields the segment `{fn}` and the rest byte for byte. Only `{fn}` is decoded, once, for the lookup.
 */

export interface FunctionTarget {
  /** Decoded: `fib` or `fib.namespace`. */
  readonly name: string;
  /** What the function gets: path and query as the caller wrote them, `/` when there was no path. */
  readonly path: string;
  /** What stands before that path, as the caller wrote it: `/function/fib`. */
  readonly prefix: string;
}

/**
 * @param prefix with both slashes, `/function/`
 * @returns undefined when the target is not under the prefix or names no function
 */
export function parseFunctionTarget(url: string, prefix: string): FunctionTarget | undefined {
  if (!url.startsWith(prefix)) return undefined;
  let end = prefix.length;
  for (; end < url.length; end++) {
    const c = url.charCodeAt(end);
    if (c === 0x2f || c === 0x3f || c === 0x23) break; // slash, question mark, hash
  }
  const segment = url.slice(prefix.length, end);
  const name = segment.includes('%') ? decodeOnce(segment) : segment;
  if (!name) return undefined;
  const rest = url.slice(end);
  return { name, path: rest.startsWith('/') ? rest : `/${rest}`, prefix: url.slice(0, end) };
}

/** Undefined for broken escapes: such a name cannot be a function's. */
function decodeOnce(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The part before the query. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}
