/**
 * Why pods of StatefulSets cannot be created, as Events have said (creation-failures.ts): the last failure of each set,
 * for as long as the set lacks pods. A Deployment's own status says it.
 */
import type { CreationFailure } from '../creation-failures.ts';
import { creationTrouble, type Trouble } from './trouble.ts';
import { lacksPods, type WorkloadModel } from './workload.ts';

export class FailedCreations {
  /** By owner key. A set that was deleted and made again has another uid. */
  readonly #last = new Map<string, CreationFailure>();

  /** At each look at a workload: with all its pods there, its failure is history. */
  look(workload: WorkloadModel): void {
    const { ownerKey, uid } = workload;
    if (!lacksPods(workload) || this.#last.get(ownerKey)?.uid !== uid) this.#last.delete(ownerKey);
  }

  /** @returns false for one that is history already, or of another set of that name */
  note(failure: CreationFailure, workload: WorkloadModel): boolean {
    if (workload.uid !== failure.uid || !lacksPods(workload)) return false;
    this.#last.set(workload.ownerKey, failure);
    return true;
  }

  /** Why pods of the workload cannot be created: in its own words, or in an Event's. */
  troubleOf({ ownerKey, uid, trouble }: WorkloadModel): Trouble | undefined {
    const last = this.#last.get(ownerKey);
    return trouble ?? (last?.uid === uid ? creationTrouble(last.message) : undefined);
  }

  forget(ownerKey: string): void {
    this.#last.delete(ownerKey);
  }
}
