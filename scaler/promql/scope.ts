/**
 * Whose series a function's query sees: its own. The labels `namespace` and `function` say whose a series is; a
 * selector that does not name one of them gets the function's own value for it. So a query that is to see more says
 * so: `{function="other"}`, `{function=""}` (pods that are no function's), `{function=~".*",namespace=~".*"}` (all).
 */
import { mapSelectors, type Expr } from './parse/ast.ts';
import { createMatcher } from './matcher.ts';

export interface QueryScope {
  readonly namespace: string;
  readonly function: string;
}

/** Series of this source alone, whatever else a selector names. Nothing that is scraped can have the label. */
export function onlyOf(expr: Expr, source: string): Expr {
  const own = createMatcher(SOURCE_LABEL, '=', source);
  return mapSelectors(expr, (selector) => ({ ...selector, matchers: [...selector.matchers, own] }));
}

export const SOURCE_LABEL = '__source__';

const SCOPE_LABELS = ['namespace', 'function'] as const;

export function scopeTo(expr: Expr, scope: QueryScope): Expr {
  return mapSelectors(expr, (selector) => {
    const unnamed = SCOPE_LABELS.filter((label) => !selector.matchers.some((m) => m.label === label));
    const own = unnamed.map((label) => createMatcher(label, '=', scope[label]));
    return { ...selector, matchers: [...selector.matchers, ...own] };
  });
}
