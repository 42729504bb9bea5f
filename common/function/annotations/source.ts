/**
 * The annotations of one workload as they are read: found by name or alias, bounded in length, with a place for what
 * is wrong with them.
 */
import { MAX_VALUE_LENGTH } from './bounds.ts';
import { createFaultList, type FaultList, type ReportFault } from './faults.ts';
import type { Reader } from './values.ts';

/** The annotations with a place for their faults; a blank value counts as absent. */
export class AnnotationSource {
  readonly list: FaultList = createFaultList();
  /** Told of already. */
  readonly #refused = new Set<string>();
  readonly #annotations: Readonly<Record<string, string>>;

  constructor(annotations: Readonly<Record<string, string>>) {
    this.#annotations = annotations;
  }

  /** The trimmed value of the first of these names that is not blank: main names come before aliases. */
  find(...names: readonly string[]): { text: string; report: ReportFault } | undefined {
    for (const name of names) {
      const value: unknown = Object.hasOwn(this.#annotations, name) ? this.#annotations[name] : undefined;
      const text = typeof value === 'string' ? value.trim() : '';
      if (text.length > MAX_VALUE_LENGTH) this.#refuse(name, text);
      else if (text !== '') return { text, report: this.list.of(name) };
    }
    return undefined;
  }

  /** Whether something is written there that is too long to be read. */
  isRefused(...names: readonly string[]): boolean {
    return names.some((name) => this.#refused.has(name));
  }

  /** Whether the annotation is there and says nothing. */
  isBlank(name: string): boolean {
    const value: unknown = Object.hasOwn(this.#annotations, name) ? this.#annotations[name] : undefined;
    return typeof value === 'string' && value.trim() === '';
  }

  #refuse(name: string, text: string): void {
    if (this.#refused.has(name)) return;
    this.#refused.add(name);
    const problem = `${text.length} characters; allowed: at most ${MAX_VALUE_LENGTH}`;
    this.list.of(name)(text, problem, 'what holds without it');
  }

  read<T, D>(name: string | readonly string[], reader: Reader<T>, fallback: D): T | D {
    const found = this.find(...(typeof name === 'string' ? [name] : name));
    if (!found) return fallback;
    const result = reader(found.text);
    if ('value' in result) return result.value;
    const inForce = fallback === undefined ? 'none' : String(fallback);
    found.report(found.text, `not allowed; allowed: ${result.allowed}`, inForce);
    return fallback;
  }

  /** Whether a valid value was written, be it the default's. */
  isSet<T>(name: string, reader: Reader<T>): boolean {
    const found = this.find(name);
    return found !== undefined && 'value' in reader(found.text);
  }
}
