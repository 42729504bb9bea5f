/**
 * Who depends on whom. Cycles are broken, always at the same place: walking from the names in alphabetical
 * order, the edge that closes a cycle is dropped, so `a → b → a` leaves `a → b`, and b is up first. The cycle is
 * reported; the functions still work.
 */

export interface DependencyGraph {
  /** Direct dependencies that exist, without the edges that would close a cycle. */
  dependenciesOf(key: string): readonly string[];
  dependentsOf(key: string): readonly string[];
  /** Each as the path that closes it: `[a, b, a]`. */
  readonly cycles: readonly (readonly string[])[];
}

const NONE: readonly string[] = [];

/** @param edges key → keys it depends on, all of which exist */
export function buildGraph(edges: ReadonlyMap<string, readonly string[]>): DependencyGraph {
  const kept = new Map<string, string[]>();
  const dependents = new Map<string, string[]>();
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];

  const visit = (key: string): void => {
    if (done.has(key)) return;
    path.push(key);
    for (const target of edges.get(key) ?? NONE) {
      const start = path.indexOf(target);
      if (start >= 0) {
        cycles.push([...path.slice(start), target]);
        continue;
      }
      push(kept, key, target);
      push(dependents, target, key);
      visit(target);
    }
    path.pop();
    done.add(key);
  };
  for (const key of [...edges.keys()].toSorted()) visit(key);

  return {
    dependenciesOf: (key) => kept.get(key) ?? NONE,
    dependentsOf: (key) => dependents.get(key) ?? NONE,
    cycles,
  };
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else if (!list.includes(value)) list.push(value);
}
