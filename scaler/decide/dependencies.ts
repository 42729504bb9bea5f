/**
 * Who depends on whom. Cycles are broken, always at the same place. Walking from the names in alphabetical order, the
 * edge that closes a cycle is dropped. So `a → b → a` leaves `a → b`, and b is up first. The cycle is reported; the
 * functions still work.
 *
 * Anyone who may annotate a workload draws edges here, so all is bounded. One workload depends, directly and through
 * others, on at most {@link MAX_DEPENDENCIES}. Of the cycles that close in one workload, one is reported with its
 * path. The bound is on chains too: a recursive walk of the graph is at most that deep.
 */

/** Direct and indirect ones together. */
export const MAX_DEPENDENCIES = 64;

/** Names of a cycle that are told; of a longer one the middle is left out. */
const MAX_CYCLE_NAMES = 10;

export interface Cycle {
  /** The path that closes it: `[a, b, a]`; `…` stands for what is left out of a long one. */
  readonly path: readonly string[];
  /** How many more close in the same workload. */
  readonly more: number;
}

export interface DependencyGraph {
  /** Direct dependencies that exist, without the edges that were dropped. */
  dependenciesOf(key: string): readonly string[];
  dependentsOf(key: string): readonly string[];
  /** By the workload that a cycle begins and ends with. */
  readonly cycles: ReadonlyMap<string, Cycle>;
  /** By workload: how many of its edges were dropped since it depends on too many. */
  readonly dropped: ReadonlyMap<string, number>;
}

const NONE: readonly string[] = [];

/** A workload whose edges are being walked. */
interface Step {
  readonly key: string;
  next: number;
}

/** @param edges key → keys it depends on, all of which exist */
export function buildGraph(edges: ReadonlyMap<string, readonly string[]>): DependencyGraph {
  const builder = new Builder(edges);
  for (const key of [...edges.keys()].toSorted()) builder.walk(key);
  const { kept, dependents, cycles, dropped } = builder;
  return {
    dependenciesOf: (key) => kept.get(key) ?? NONE,
    dependentsOf: (key) => dependents.get(key) ?? NONE,
    cycles,
    dropped,
  };
}

class Builder {
  readonly kept = new Map<string, string[]>();
  readonly dependents = new Map<string, string[]>();
  readonly cycles = new Map<string, { path: readonly string[]; more: number }>();
  readonly dropped = new Map<string, number>();
  readonly #edges: ReadonlyMap<string, readonly string[]>;
  /** All that a finished workload depends on. */
  readonly #reach = new Map<string, ReadonlySet<string>>();
  readonly #path: Step[] = [];
  /** Places in the path. */
  readonly #onPath = new Map<string, number>();

  constructor(edges: ReadonlyMap<string, readonly string[]>) {
    this.#edges = edges;
  }

  /** Depth first, without recursion: a chain may be as long as there are workloads. */
  walk(from: string): void {
    if (this.#reach.has(from)) return;
    this.#enter(from);
    for (let step = this.#path.at(-1); step; step = this.#path.at(-1)) {
      const targets = this.#edges.get(step.key) ?? NONE;
      const target = targets[step.next++];
      if (target === undefined) this.#leave(step.key, targets);
      else if (this.#onPath.has(target)) this.#noteCycle(target);
      else if (!this.#reach.has(target)) this.#enter(target);
    }
  }

  #enter(key: string): void {
    this.#onPath.set(key, this.#path.length);
    this.#path.push({ key, next: 0 });
  }

  /** All that it points to is finished, except what closes a cycle. */
  #leave(key: string, targets: readonly string[]): void {
    const reach = new Set<string>();
    for (const target of new Set(targets)) {
      const further = this.#reach.get(target);
      if (further === undefined) continue;
      if (this.#hasRoom(reach, target, further)) {
        reach.add(target);
        for (const name of further) reach.add(name);
        push(this.kept, key, target);
        push(this.dependents, target, key);
      } else this.dropped.set(key, (this.dropped.get(key) ?? 0) + 1);
    }
    this.#reach.set(key, reach);
    this.#path.pop();
    this.#onPath.delete(key);
  }

  #hasRoom(reach: ReadonlySet<string>, target: string, further: ReadonlySet<string>): boolean {
    if (reach.has(target)) return true; // and so is all that it depends on
    if (reach.size >= MAX_DEPENDENCIES) return false;
    let size = reach.size + 1;
    for (const name of further) if (!reach.has(name)) size++;
    return size <= MAX_DEPENDENCIES;
  }

  #noteCycle(target: string): void {
    const known = this.cycles.get(target);
    if (known) {
      known.more++;
      return;
    }
    const path = this.#path.slice(this.#onPath.get(target)).map(({ key }) => key);
    this.cycles.set(target, { path: [...shortened(path), target], more: 0 });
  }
}

function shortened(path: readonly string[]): readonly string[] {
  if (path.length <= MAX_CYCLE_NAMES) return path;
  return [...path.slice(0, MAX_CYCLE_NAMES - 1), '…', path.at(-1) as string];
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
