/**
 * `slimfaas.dev/rewrite-paths`: for an app that does not know that the proxy cuts off `/function/NAME`. In its answers
 * that prefix is put back in front of its own paths: in `Location`, `Content-Location` and the `Path` of cookies. Bodies
 * are never changed. Pure.
 */
import { headerValue } from '../../common/relay/index.ts';
import type { RawHeaders } from '../../common/relay/types.ts';

export interface PathRewrite {
  /** What was cut off: `/function/shop`. */
  readonly prefix: string;
  /** As the app got them: they say which hosts mean the app itself. */
  readonly request: RawHeaders;
}

const LINKS: ReadonlySet<string> = new Set(['location', 'content-location']);

/** @param headers of an app's answer */
export function prefixPaths(headers: RawHeaders, rewrite: PathRewrite): RawHeaders {
  let out: string[] | undefined;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    const value = headers[i + 1] as string;
    const written = LINKS.has(name)
      ? rewriteLink(value, rewrite)
      : name === 'set-cookie'
        ? rewriteCookie(value, rewrite)
        : value;
    if (written !== value) (out ??= [...headers])[i + 1] = written;
  }
  return out ?? headers;
}

/** A path of this host, or a URL of it. A relative path and a URL of another host stay as they are. */
function rewriteLink(link: string, rewrite: PathRewrite): string {
  if (isPath(link)) return under(rewrite, link);
  const [, origin = '', authority, path = ''] = /^(https?:\/\/([^/?#\\]+))(.*)$/is.exec(link) ?? [];
  if (authority === undefined || !isOwnHost(authority, rewrite.request)) return link;
  if (path !== '' && !isPath(path)) return link;
  return origin + under(rewrite, path === '' ? '/' : path);
}

/** The last `Path` counts, as browsers read it. A `__Host-` cookie is void with any path but `/`. */
function rewriteCookie(cookie: string, rewrite: PathRewrite): string {
  if (/^\s*__host-/i.test(cookie)) return cookie;
  const parts = cookie.split(';');
  const at = parts.findLastIndex((part, index) => index > 0 && /^\s*path\s*=/i.test(part));
  const [, before = '', path = ''] = /^(\s*path\s*=\s*)(.*?)\s*$/is.exec(parts[at] ?? '') ?? [];
  if (!isPath(path)) return cookie;
  const scoped = path === '/' ? rewrite.prefix : under(rewrite, path);
  return parts.with(at, before + scoped).join(';');
}

/** An absolute path. `//host` and `/\host` are other hosts to a browser. */
function isPath(text: string): boolean {
  return /^\/(?![/\\])/.test(text);
}

/** An app that reads X-Forwarded-Prefix may have put it there itself, with what a gateway before us has cut off. */
function under({ prefix, request }: PathRewrite, path: string): string {
  const told = headerValue(request, 'x-forwarded-prefix');
  const isThere = [prefix, told].some((each) => each !== undefined && isBelow(path, each));
  return isThere ? path : prefix + path;
}

function isBelow(path: string, prefix: string): boolean {
  if (prefix === '' || !path.startsWith(prefix)) return false;
  const next = path.charAt(prefix.length);
  return next === '' || '/?#'.includes(next);
}

function isOwnHost(authority: string, request: RawHeaders): boolean {
  const host = authority.toLowerCase();
  return ['host', 'x-forwarded-host'].some((name) => headerValue(request, name)?.toLowerCase() === host);
}
