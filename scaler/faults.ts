/**
 * Says what is wrong in users' annotations, once for each state of them: any change of any function may make or
 * mend a fault (a dependency that appears, a cycle), so all are looked at, and only what has changed is told.
 */
import type { FunctionInfo } from '../common/function-spec.ts';
import type { Workload } from './kube-objects.ts';
import type { World } from './world.ts';

export type MoreFaults = (workload: Workload, fn: FunctionInfo) => readonly string[];
export type OnFaults = (workload: Workload, faults: readonly string[]) => void;

export class FaultTeller {
  readonly #world: World;
  readonly #onFaults: OnFaults;
  /** What the annotations alone do not show: dependencies, queries. */
  readonly #more: MoreFaults;
  /** By key; a function without faults that never had any is not in it. */
  #told = new Map<string, string>();

  constructor(world: World, onFaults: OnFaults, more: MoreFaults) {
    this.#world = world;
    this.#onFaults = onFaults;
    this.#more = more;
  }

  of(workload: Workload, fn: FunctionInfo): readonly string[] {
    const written = fn.faults.map((f) => `${f.annotation}: ${f.problem}; in force: ${f.inForce}`);
    return [...written, ...this.#more(workload, fn)];
  }

  tell(): void {
    const told = new Map<string, string>();
    for (const workload of this.#world.workloads()) {
      if (!workload.fn) continue;
      const faults = this.of(workload, workload.fn);
      const text = faults.join('\n');
      if (text !== '') told.set(workload.key, text);
      if ((this.#told.get(workload.key) ?? '') !== text) this.#onFaults(workload, faults);
    }
    this.#told = told;
  }

  /** For a new leader: the former one's Events may have been its last. */
  tellAgain(): void {
    this.#told.clear();
    this.tell();
  }
}
