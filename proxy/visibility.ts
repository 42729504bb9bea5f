/**
 * Who may call what: SlimFaas/DefaultVisibility and PathsStartWithVisibility, first match wins. The function
 * behind us may decode, collapse or resolve a path before it routes, and we cannot know how; so a path is
 * Private as soon as any reading of it is. Gives up: a path that is public as written but reads as a private
 * one (`/public/../admin`) is refused even where the function would not resolve it. Pure.
 */
import type { FunctionSpec, PathRule, Visibility } from '../common/function-spec.ts';
import { pathOnly } from './function-path.ts';

type Rules = Pick<FunctionSpec, 'defaultVisibility' | 'pathVisibility'>;

/** @param path as the caller wrote it; a query is ignored */
export function visibilityOf(spec: Rules, path: string): Visibility {
  if (spec.pathVisibility.length === 0) return spec.defaultVisibility; // every path alike: the common case
  const all = readings(pathOnly(path));
  if (!all) return 'Private'; // escaped deeper than anyone writes in good faith: it may read as anything
  for (const reading of all) {
    if (firstMatch(spec, reading, (text) => text) === 'Private') return 'Private';
    if (firstMatch(spec, reading, lower) === 'Private') return 'Private'; // routers that ignore case
  }
  return 'Public';
}

function firstMatch(spec: Rules, path: string, fold: (text: string) => string): Visibility {
  const folded = fold(path);
  const rule = spec.pathVisibility.find((r) => folded.startsWith(fold(rooted(r))));
  return rule?.visibility ?? spec.defaultVisibility;
}

function rooted(rule: PathRule): string {
  return rule.prefix.startsWith('/') ? rule.prefix : `/${rule.prefix}`;
}

function lower(text: string): string {
  return text.toLowerCase();
}

/** Escapes within escapes are peeled that often: two is what real chains of servers do, the rest is margin. */
const MAX_DECODES = 5;

/** Every way in which a server may read the path: as it is, decoded once, twice …, each also normalised. */
function readings(path: string): Set<string> | undefined {
  const all = new Set<string>();
  let current = path;
  for (let i = 0; i <= MAX_DECODES; i++) {
    all.add(current);
    all.add(resolve(current, false));
    all.add(resolve(current, true));
    const decoded = decodeLoosely(current);
    if (decoded === current) return all;
    current = decoded;
  }
  return undefined;
}

/** Backslashes as slashes, `//` as `/`, dot segments resolved; path parameters (`/a;v=1/b`) kept or cut. */
function resolve(path: string, cutParameters: boolean): string {
  const out: string[] = [];
  const segments = path.replaceAll('\\', '/').split('/');
  for (const raw of segments) {
    const segment = cutParameters ? raw.replace(/;.*$/s, '') : raw;
    if (segment === '..') out.pop();
    else if (segment !== '' && segment !== '.') out.push(segment);
  }
  const last = segments.at(-1) ?? '';
  const isFolder = out.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${out.join('/')}${isFolder ? '/' : ''}`;
}

/** Decodes every valid escape and leaves broken ones, as lenient servers do. */
function decodeLoosely(text: string): string {
  if (!text.includes('%')) return text;
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return Buffer.from(run.replaceAll('%', ''), 'hex').toString('latin1');
    }
  });
}
