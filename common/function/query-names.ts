/**
 * Names that a trigger's query may use for its own function: `${function}`, `${app}` (the same, as SlimFaas's examples
 * have it) and `${namespace}`. What else stands in `${…}` names nothing, which is a fault and not "no data". Left alone
 * is what label_replace means by it: a group's number, or a group that the query itself names. Pure.
 */
import type { FunctionId } from '../bus/subjects.ts';

export const QUERY_NAMES = ['app', 'function', 'namespace'] as const;

const IN_BRACES = /\$\{([^{}]*)\}/g;
const GROUP = /\(\?P?<([A-Za-z_]\w*)>/g;

function valueOf(name: string, id: FunctionId): string | undefined {
  if (name === 'namespace') return id.namespace;
  return name === 'app' || name === 'function' ? id.name : undefined;
}

/** Names of Kubernetes are letters, digits, `-` and `.`: nothing in them ends a text of PromQL. */
export function expandQuery(query: string, id: FunctionId): string {
  return query.replaceAll(IN_BRACES, (all, name: string) => valueOf(name, id) ?? all);
}

/** As they are written, each once. */
export function unknownNames(query: string): string[] {
  if (!query.includes('${')) return [];
  const groups = new Set([...query.matchAll(GROUP)].map(([, name]) => name));
  const known = (name: string): boolean =>
    /^\d+$/.test(name) || groups.has(name) || QUERY_NAMES.some((own) => own === name);
  const found = [...query.matchAll(IN_BRACES)].filter(([, name = '']) => !known(name));
  return [...new Set(found.map(([all]) => all))];
}
