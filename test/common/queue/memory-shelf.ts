/** What the queue in memory keeps of one kind, by its sequence. */
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';
import type { DeadHistory } from '../../../common/queue/dead.ts';

export interface Kept {
  readonly seq: number;
  readonly id: FunctionId;
  readonly data: Uint8Array;
  readonly storedAtMs: number;
  readonly history: DeadHistory | undefined;
}

interface Put {
  readonly id: FunctionId;
  readonly payload: Uint8Array;
  readonly messageId: string;
  readonly history?: DeadHistory;
}

export class Shelf {
  readonly #kept = new Map<number, Kept>();
  readonly #sequences = new Map<string, number>();
  last = 0;

  put({ id, payload, messageId, history }: Put) {
    const known = this.#sequences.get(messageId);
    if (known !== undefined) return { kind: 'accepted', sequence: known, isDuplicate: true } as const;
    const seq = ++this.last;
    this.#sequences.set(messageId, seq);
    this.#kept.set(seq, { seq, id, data: payload, storedAtMs: Date.now(), history });
    return { kind: 'accepted', sequence: seq, isDuplicate: false } as const;
  }

  knows(messageId: string): boolean {
    return this.#sequences.has(messageId);
  }

  get(seq: number): Kept | undefined {
    return this.#kept.get(seq);
  }

  /** @param id undefined: of every function */
  of(id: FunctionId | undefined): Kept[] {
    const all = [...this.#kept.values()];
    return id ? all.filter((kept) => functionKey(kept.id) === functionKey(id)) : all;
  }

  remove(seq: number): boolean {
    return this.#kept.delete(seq);
  }
}
