/**
 * The dependency graph of the world as it is. It is built again only when a workload or its annotations changed.
 * Scaling, which is most of what happens, changes neither.
 */
import type { FunctionInfo } from '../../common/function/spec.ts';
import { dependentRules } from '../../common/function/annotations/lists.ts';
import { ANNOTATION } from '../../common/function/annotations/index.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { buildGraph, MAX_DEPENDENCIES, type DependencyGraph } from '../decide/dependencies.ts';
import { invalidValue, type Fault } from './faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { WorldView } from '../world/world.ts';

export class DependencyIndex {
  readonly #world: WorldView;
  #version = -1;
  #graph: DependencyGraph = buildGraph(new Map());
  /** Functions that any other's activity wakes. */
  #eager: string[] = [];

  constructor(world: WorldView) {
    this.#world = world;
  }

  get graph(): DependencyGraph {
    return this.#graph;
  }

  get eager(): readonly string[] {
    return this.#eager;
  }

  /** @returns true when it was built again, and so faults may have changed */
  refresh(): boolean {
    if (this.#version === this.#world.specVersion) return false;
    this.#version = this.#world.specVersion;
    const edges = new Map<string, string[]>();
    this.#eager = [];
    for (const { key, fn } of this.#world.workloads()) {
      if (!fn) continue;
      const targets = fn.spec.dependsOn.flatMap((name) => {
        const target = resolveDependency(name, fn.id, this.#world);
        return target?.agrees ? [target.key] : [];
      });
      if (targets.length > 0) edges.set(key, targets);
      if (fn.spec.wakesWithAny) this.#eager.push(key);
    }
    this.#graph = buildGraph(edges);
    return true;
  }

  /** In words for the user: names that do not exist, and cycles, each told by the function it begins with. */
  faultsOf(workload: Workload, fn: FunctionInfo): Fault[] {
    const faults: string[] = [];
    for (const name of fn.spec.dependsOn) {
      const target = resolveDependency(name, fn.id, this.#world);
      if (target === undefined)
        faults.push(`SlimFaas/DependsOn: there is no workload ${JSON.stringify(name)}; it is not waited for`);
      else if (!target.agrees)
        faults.push(
          `SlimFaas/DependsOn: ${target.key} is in another namespace and lacks the annotation ${ANNOTATION.dependedOnBy}: ${workload.key}; it is not waited for`,
        );
    }
    const cycle = this.#graph.cycles.get(workload.key);
    if (cycle) {
      const more = cycle.more === 0 ? '' : `, and ${cycle.more} more like it`;
      faults.push(`SlimFaas/DependsOn: a cycle, ${cycle.path.join(' → ')}; the last step is ignored${more}`);
    }
    const dropped = this.#graph.dropped.get(workload.key);
    if (dropped)
      faults.push(
        `SlimFaas/DependsOn: at most ${MAX_DEPENDENCIES} dependencies, those of dependencies counted; ${dropped} names are ignored`,
      );
    return faults.map(invalidValue);
  }
}

interface Target {
  readonly key: string;
  /** Those of one namespace trust each other; in another one the workload itself must name its dependents. */
  readonly agrees: boolean;
}

/** `DependsOn` names a workload of the same namespace, or `name.namespace`. */
function resolveDependency(name: string, dependent: FunctionId, world: WorldView): Target | undefined {
  const own = functionKey({ namespace: dependent.namespace, name });
  if (world.workload(own)) return { key: own, agrees: true };
  const dot = name.lastIndexOf('.');
  if (dot <= 0) return undefined;
  const id = { namespace: name.slice(dot + 1), name: name.slice(0, dot) };
  const other = world.workload(functionKey(id));
  if (!other) return undefined;
  return { key: other.key, agrees: id.namespace === dependent.namespace || names(other, dependent) };
}

function names({ dependedOnBy }: Workload, { namespace, name }: FunctionId): boolean {
  return dependentRules(dependedOnBy).some(
    (rule) => [namespace, '*'].includes(rule.namespace) && [name, '*'].includes(rule.name),
  );
}
