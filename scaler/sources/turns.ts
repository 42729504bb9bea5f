/**
 * Whose turn it is. Few at once in all, fewer of one namespace, and one or two of one function. Each function has a line
 * of its own, namespaces take turns, and so do the functions of a namespace. So work that takes long is in the way of its
 * own tenant alone.
 */
export interface TurnLimits {
  readonly inAll: number;
  readonly ofNamespace: number;
  readonly ofFunction: number;
  /** Who may wait, of a namespace. Default: no bound; then the caller has one. */
  readonly inLine?: number;
}

export const POLL_TURNS = { inAll: 64, ofNamespace: 8, ofFunction: 2 } as const satisfies TurnLimits;

export interface Owner {
  readonly namespace: string;
  readonly name: string;
}

export type EndTurn = () => void;

type Go = (isMine: boolean) => void;

/** A timer that is late by less than this is not set again. */
const SOON_MS = 1;

export class SourceTurns {
  readonly #limits: TurnLimits;
  readonly #waitMs: (namespace: string) => number;
  readonly #running = new Map<string, number>();
  /** By namespace, then by function. A Map keeps order, so who had a turn is put to its end. */
  readonly #lines = new Map<string, Map<string, Set<Go>>>();
  readonly #waiting = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param waitMs for how long nobody of the namespace gets a turn, 0: not at all */
  constructor(limits: TurnLimits, waitMs: (namespace: string) => number = () => 0) {
    this.#limits = limits;
    this.#waitMs = waitMs;
  }

  get running(): number {
    return count(this.#running, '');
  }

  get inLine(): number {
    return count(this.#waiting, '');
  }

  /**
   * Resolves when it is its turn, with what ends it.
   * @returns undefined when `signal` was aborted before, or when the line is full
   */
  async take(owner: Owner, signal?: AbortSignal): Promise<EndTurn | undefined> {
    if (signal?.aborted) return undefined;
    const isFirst = !this.#lines.get(owner.namespace)?.has(owner.name);
    if (isFirst && this.#isFree(owner) && this.#waitMs(owner.namespace) <= 0) this.#run(owner, 1);
    else if (!(await this.#wait(owner, signal))) return undefined;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#run(owner, -1);
      this.#next();
    };
  }

  #wait(owner: Owner, signal: AbortSignal | undefined): Promise<boolean> {
    const { inLine = Infinity } = this.#limits;
    if (count(this.#waiting, owner.namespace) >= inLine) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#leave(owner, go);
        resolve(false);
        this.#next();
      };
      const go: Go = (isMine) => {
        signal?.removeEventListener('abort', leave);
        resolve(isMine);
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#enter(owner, go);
      this.#next();
    });
  }

  #enter({ namespace, name }: Owner, go: Go): void {
    const lines = this.#lines.get(namespace) ?? new Map<string, Set<Go>>();
    this.#lines.set(namespace, lines.set(name, (lines.get(name) ?? new Set<Go>()).add(go)));
    add(this.#waiting, ['', namespace], 1);
  }

  #leave({ namespace, name }: Owner, go: Go): void {
    const lines = this.#lines.get(namespace);
    const line = lines?.get(name);
    if (!lines || !line?.delete(go)) return;
    if (line.size === 0) lines.delete(name);
    if (lines.size === 0) this.#lines.delete(namespace);
    add(this.#waiting, ['', namespace], -1);
  }

  /** Gives out all turns that are free, and comes back when a namespace has waited long enough. */
  #next(): void {
    clearTimeout(this.#timer);
    let soonestMs = Infinity;
    for (const [namespace, lines] of this.#lines) {
      if (this.running >= this.#limits.inAll) return;
      const waitMs = this.#waitMs(namespace);
      if (waitMs > 0) soonestMs = Math.min(soonestMs, waitMs);
      else this.#serve(namespace, lines);
    }
    if (soonestMs < Infinity) this.#timer = setTimeout(() => this.#next(), soonestMs + SOON_MS);
  }

  /** One of the namespace. It goes to the end then, where the walk comes by again. */
  #serve(namespace: string, lines: Map<string, Set<Go>>): void {
    if (count(this.#running, namespace) >= this.#limits.ofNamespace) return;
    // At most as many functions as the namespace has turns are full, so few are passed over.
    for (const [name, line] of lines) {
      const owner = { namespace, name };
      const [go] = line;
      if (!go || !this.#isFree(owner)) continue;
      this.#leave(owner, go);
      if (lines.delete(name) && line.size > 0) lines.set(name, line);
      if (this.#lines.delete(namespace) && lines.size > 0) this.#lines.set(namespace, lines);
      this.#run(owner, 1);
      return go(true);
    }
  }

  #isFree({ namespace, name }: Owner): boolean {
    const { inAll, ofNamespace, ofFunction } = this.#limits;
    if (this.running >= inAll || count(this.#running, namespace) >= ofNamespace) return false;
    return count(this.#running, `${namespace}/${name}`) < ofFunction;
  }

  #run({ namespace, name }: Owner, by: 1 | -1): void {
    add(this.#running, ['', namespace, `${namespace}/${name}`], by);
  }
}

function count(counts: ReadonlyMap<string, number>, of: string): number {
  return counts.get(of) ?? 0;
}

function add(counts: Map<string, number>, whose: readonly string[], by: number): void {
  for (const one of whose) {
    const sum = count(counts, one) + by;
    if (sum > 0) counts.set(one, sum);
    else counts.delete(one);
  }
}
