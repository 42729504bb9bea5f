/**
 * The proxies' ports that each slice has. The slice is the record. Only who acts gives ports out, and what it gave counts
 * before the slice is written. A follower remembers none: it takes them from the slices when it begins to act.
 */
import type { WakePort } from '../../common/kube/wake-slice.ts';
import type { PortRange } from './ports.ts';

type Recorded = ReadonlyMap<string, { readonly ports: readonly WakePort[] }>;

export class GivenPorts {
  readonly #range: PortRange;
  /** By slice and by name of the Service's port. */
  readonly #given = new Map<string, Map<string, number>>();

  constructor(range: PortRange) {
    this.#range = range;
  }

  /** What others gave meanwhile counts, and not what was known before. @param isWriting its slice is not the record now */
  follow(slices: Recorded, isWriting: (key: string) => boolean): void {
    for (const key of this.#given.keys()) if (!isWriting(key)) this.takeBack(key);
    for (const [key, { ports }] of slices) this.claim(key, ports);
  }

  /** Takes over the ports of a slice that is there. A port that is another's already is not its. */
  claim(key: string, ports: readonly WakePort[]): void {
    const given = this.#of(key);
    for (const { name, port } of ports)
      if (!given.has(name) && this.#range.claim(port, key)) given.set(name, port);
  }

  /** Those that it had, and new ones for new names; undefined when none is left. */
  give(key: string, names: readonly string[]): ReadonlyMap<string, number> | undefined {
    const given = this.#of(key);
    for (const name of names) {
      const port = given.get(name) ?? this.#range.give(key);
      if (port === undefined) return undefined;
      given.set(name, port);
    }
    for (const name of given.keys()) if (!names.includes(name)) this.takeBack(key, name);
    return given;
  }

  /** @param only the Service's port of that name; undefined: all of them */
  takeBack(key: string, only?: string): void {
    const given = this.#given.get(key);
    for (const [name, port] of given ?? []) {
      if (only !== undefined && name !== only) continue;
      this.#range.release(port, key);
      given?.delete(name);
    }
    if (given?.size === 0) this.#given.delete(key);
  }

  keys(): IterableIterator<string> {
    return this.#given.keys();
  }

  #of(key: string): Map<string, number> {
    const given = this.#given.get(key) ?? new Map<string, number>();
    this.#given.set(key, given);
    return given;
  }
}
