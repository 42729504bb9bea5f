/** Services that were asked to wake their function and cannot, by function. The keeper of Services replaces the whole list in each pass. */
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { Fault } from './faults.ts';

type Messages = ReadonlyMap<string, readonly string[]>;

const NOT_ALLOWED =
  'no Service wakes it: this installation does not allow it (--services-wake=false of the scaler)';

export class ServiceFaults {
  readonly #isAllowed: boolean;
  #byKey: Messages = new Map();

  constructor(isAllowed: boolean) {
    this.#isAllowed = isAllowed;
  }

  /** Functions that have some. */
  get size(): number {
    return this.#byKey.size;
  }

  of(key: string, { services }: Pick<FunctionSpec, 'services'>): readonly Fault[] {
    const isRefused = services === 'wake' && !this.#isAllowed;
    const messages = isRefused ? [NOT_ALLOWED] : (this.#byKey.get(key) ?? []);
    return messages.map((message) => ({ reason: 'ServiceNotServed', message }));
  }

  /** @returns the functions for which something has changed */
  replace(next: Messages): string[] {
    const before = this.#byKey;
    this.#byKey = next;
    const textOf = (messages: Messages, key: string) => messages.get(key)?.join('\n');
    return [...new Set([...before.keys(), ...next.keys()])].filter(
      (key) => textOf(before, key) !== textOf(next, key),
    );
  }
}
