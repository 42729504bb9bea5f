/**
 * Who may call what: SlimFaas/DefaultVisibility and PathsStartWithVisibility, first match wins. The function
 * behind us may decode, collapse or resolve a path before it routes, and we cannot know how. So a path that
 * servers may read differently (common/function/canonical-path.ts) is Private wherever anything of the function is.
 * Gives up: `/public/../public/x` is refused to outsiders even where the function would resolve it. Pure.
 */
import {
  foldPath,
  isUnambiguous,
  prefixText,
  readPath,
  withoutParameters,
} from '../../common/function/canonical-path.ts';
import type { FunctionSpec, PathRule, Visibility } from '../../common/function/spec.ts';
import { PathRules } from './path-rules.ts';
import { pathOnly } from './function-path.ts';

type Rules = Pick<FunctionSpec, 'defaultVisibility' | 'pathVisibility'>;

/** @param path as the caller wrote it; a query is ignored */
export function visibilityOf(spec: Rules, path: string): Visibility {
  const { pathVisibility: rules, defaultVisibility: fallback } = spec;
  if (rules.length === 0) return fallback; // every path alike: the common case
  const { asWritten, folded, isAnyPrivate } = matcherOf(rules);
  if (!isAnyPrivate && fallback === 'Public') return 'Public';
  const text = readPath(pathOnly(path));
  if (text === undefined) return 'Private';
  const cut = withoutParameters(text);
  if (isPrivate(asWritten, text, fallback) || isPrivate(folded, foldPath(text), fallback)) return 'Private';
  if (cut === text) return 'Public';
  return isPrivate(asWritten, cut, fallback) || isPrivate(folded, foldPath(cut), fallback)
    ? 'Private'
    : 'Public';
}

/** `Private:/admin/` closes `/admin` too; a Public rule with a slash at its end opens only what is under it. */
function isPrivate(rules: PathRules, text: string, fallback: Visibility): boolean {
  if (!isUnambiguous(text)) return true; // what folding or cutting has made of it
  if ((rules.match(text) ?? fallback) === 'Private') return true;
  return !text.endsWith('/') && rules.match(`${text}/`) === 'Private';
}

interface Matcher {
  readonly asWritten: PathRules;
  readonly folded: PathRules;
  readonly isAnyPrivate: boolean;
}

/** Made at a function's first call, kept as long as its spec. */
const matchers = new WeakMap<readonly PathRule[], Matcher>();

function matcherOf(rules: readonly PathRule[]): Matcher {
  const made = matchers.get(rules);
  if (made) return made;
  const matcher = {
    asWritten: new PathRules(rules, ({ prefix }) => prefixText(prefix)),
    folded: new PathRules(rules, ({ prefix }) => foldPath(prefixText(prefix))),
    isAnyPrivate: rules.some(({ visibility }) => visibility === 'Private'),
  };
  matchers.set(rules, matcher);
  return matcher;
}
