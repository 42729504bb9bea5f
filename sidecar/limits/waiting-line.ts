/**
 * A line of waiters in order of arrival. Joining at the end and leaving from anywhere cost the same however long the
 * line is, because callers give up in the middle of it all the time. A call that was served and comes back keeps the
 * arrival number of the first time, and so stands before all that came later. Only then is the line walked, and only
 * past those that stand before it.
 */
export interface Waiter {
  readonly arrival: number;
  readonly serve: () => void;
}

interface Node extends Waiter {
  previous: Node | undefined;
  next: Node | undefined;
  isInLine: boolean;
}

export class WaitingLine {
  #head: Node | undefined;
  #tail: Node | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Takes a place by arrival; returns how to leave again, harmless when already gone. */
  join(waiter: Waiter): () => void {
    const node: Node = { ...waiter, previous: undefined, next: undefined, isInLine: true };
    this.#insertBefore(node, this.#firstAfter(waiter.arrival));
    this.#length += 1;
    return () => this.#remove(node);
  }

  /** Takes the first out of the line. */
  shift(): Waiter | undefined {
    const first = this.#head;
    if (first) this.#remove(first);
    return first;
  }

  /** The first who arrived after `arrival`; undefined: the end of the line. */
  #firstAfter(arrival: number): Node | undefined {
    if (this.#tail === undefined || this.#tail.arrival < arrival) return undefined;
    let node = this.#head;
    while (node && node.arrival < arrival) node = node.next;
    return node;
  }

  #insertBefore(node: Node, next: Node | undefined): void {
    const previous = next ? next.previous : this.#tail;
    node.previous = previous;
    node.next = next;
    if (previous) previous.next = node;
    else this.#head = node;
    if (next) next.previous = node;
    else this.#tail = node;
  }

  #remove(node: Node): void {
    if (!node.isInLine) return;
    node.isInLine = false;
    if (node.previous) node.previous.next = node.next;
    else this.#head = node.next;
    if (node.next) node.next.previous = node.previous;
    else this.#tail = node.previous;
    this.#length -= 1;
  }
}
