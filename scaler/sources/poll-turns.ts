/**
 * Whose turn it is to be asked. Few at once in all, fewer of one namespace, and one or two of one function. So sources
 * that answer late are in the way of their own tenant alone.
 */
export const POLL_TURNS = { inAll: 64, ofNamespace: 8, ofFunction: 2 } as const;

interface Waiting {
  readonly owner: Owner;
  readonly go: () => void;
}

export interface Owner {
  readonly namespace: string;
  readonly name: string;
}

export class PollTurns {
  readonly #running = new Map<string, number>();
  #line: Waiting[] = [];

  /** Polls that run, and polls in line. */
  get open(): number {
    return this.#count('') + this.#line.length;
  }

  /** Resolves when it is its turn, with what ends it. */
  async take(owner: Owner): Promise<() => void> {
    if (this.#isFree(owner)) this.#add(owner, 1);
    else await new Promise<void>((go) => this.#line.push({ owner, go }));
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#add(owner, -1);
      this.#next();
    };
  }

  #next(): void {
    const next = this.#line.find(({ owner }) => this.#isFree(owner));
    if (!next) return;
    this.#line = this.#line.filter((one) => one !== next);
    this.#add(next.owner, 1);
    next.go();
  }

  #isFree({ namespace, name }: Owner): boolean {
    if (this.#count('') >= POLL_TURNS.inAll || this.#count(namespace) >= POLL_TURNS.ofNamespace) return false;
    return this.#count(`${namespace}/${name}`) < POLL_TURNS.ofFunction;
  }

  #count(of: string): number {
    return this.#running.get(of) ?? 0;
  }

  #add({ namespace, name }: Owner, by: number): void {
    for (const whose of ['', namespace, `${namespace}/${name}`]) {
      const count = this.#count(whose) + by;
      if (count > 0) this.#running.set(whose, count);
      else this.#running.delete(whose);
    }
  }
}
