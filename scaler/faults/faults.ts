/**
 * Reports what is wrong with a function, once for each state of it. Any change of any function may make or mend a
 * fault (a dependency that appears, a cycle). So all are looked at then, and only what has changed is reported.
 *
 * Room `scaler/faults`: What is wrong with a function, in words.
 * Comes in: specs, pods, annotations.
 * Goes out: faults that name what to change.
 */
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { WorldView } from '../world/world.ts';

export interface Fault {
  /** The reason of the Kubernetes Event that tells it. */
  readonly reason:
    | 'InvalidAnnotation'
    | 'TriggerWithoutData'
    | 'NotDecided'
    | 'ColdStartFailing'
    | 'ServiceNotServed'
    | 'CanaryRolledBack';
  readonly message: string;
  /** What makes it another fault, where the message alone does not: the kubelet writes a time into it. */
  readonly key?: string;
}

type FaultsOf = (workload: Workload, fn: FunctionInfo) => readonly Fault[];
export type OnFaults = (workload: Workload, faults: readonly Fault[]) => void;

interface Told {
  readonly faults: readonly Fault[];
  /** What makes it another state, so that it is told again. */
  readonly text: string;
}

export class FaultTeller {
  readonly #world: WorldView;
  readonly #onFaults: OnFaults;
  /** What the annotations alone do not show: dependencies, queries. */
  readonly #more: FaultsOf;
  /** By key; a function that had no faults when it was last looked at is not in it. */
  #told = new Map<string, Told>();

  constructor(world: WorldView, onFaults: OnFaults, more: FaultsOf) {
    this.#world = world;
    this.#onFaults = onFaults;
    this.#more = more;
  }

  /** As people were told: what was wrong with it when it was last looked at. Nothing is worked out for whoever asks. */
  told(key: string): readonly Fault[] {
    return this.#told.get(key)?.faults ?? [];
  }

  #of(workload: Workload, fn: FunctionInfo): readonly Fault[] {
    const written = fn.faults.map((f) =>
      invalidValue(`${f.annotation}: ${f.problem}; in force: ${f.inForce}`),
    );
    return [...written, ...this.#more(workload, fn)];
  }

  tell(): void {
    const before = this.#told;
    this.#told = new Map();
    for (const workload of this.#world.workloads()) this.#tell(workload, before.get(workload.key));
  }

  /** What changed concerns this one alone. */
  tellOf(workload: Workload): void {
    this.#tell(workload, this.#told.get(workload.key));
  }

  #tell(workload: Workload, before: Told | undefined): void {
    if (!workload.fn) return;
    const faults = this.#of(workload, workload.fn);
    const text = faults.map(({ message, key }) => key ?? message).join('\n');
    if (text === '') this.#told.delete(workload.key);
    else this.#told.set(workload.key, { faults, text });
    if ((before?.text ?? '') !== text) this.#onFaults(workload, faults);
  }

  /** For a new leader: the former one's Events may have been its last. */
  tellAgain(): void {
    this.#told.clear();
    this.tell();
  }
}

/** As it is written, it cannot be used. */
export function invalidValue(message: string): Fault {
  return { reason: 'InvalidAnnotation', message };
}
