/** Which part of a function takes a call: the function itself, or one of its canaries. */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { byCanaryName, canaryAt, pointOf, type CanaryShare } from '../../common/function/canary.ts';
import type { StickyKey } from '../../common/function/spec.ts';
import { headerValue } from '../../common/relay/index.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import type { FunctionView } from './function-view.ts';

interface SplitEntry {
  readonly id: FunctionId;
  readonly view: FunctionView;
}

interface Canary<E> extends CanaryShare {
  readonly entry: E;
}

export class CanaryTable<E extends SplitEntry> {
  readonly #random: () => number;
  readonly #onSplit: (stable: string, isSplit: boolean) => void;
  /** The canaries by their function's key, in the order of their names. */
  readonly #canaries = new Map<string, readonly Canary<E>[]>();
  /** What each canary is a part of, as the table has it. */
  readonly #stableOf = new Map<E, string>();

  /** @param onSplit a function has canaries now, or none any more; with its key */
  constructor(random: () => number, onSplit: (stable: string, isSplit: boolean) => void = () => undefined) {
    this.#random = random;
    this.#onSplit = onSplit;
  }

  /** Its annotations may have changed. */
  set(entry: E): void {
    this.remove(entry);
    const { canary } = entry.view.spec;
    if (!canary || canary.of === entry.id.name) return;
    const key = functionKey({ namespace: entry.id.namespace, name: canary.of });
    const { weightPercent } = canary;
    const others = this.#canaries.get(key) ?? [];
    this.#canaries.set(
      key,
      [...others, { name: entry.id.name, weightPercent, entry }].toSorted(byCanaryName),
    );
    this.#stableOf.set(entry, key);
    if (others.length === 0) this.#onSplit(key, true);
  }

  remove(entry: E): void {
    const key = this.#stableOf.get(entry);
    if (key === undefined) return;
    this.#stableOf.delete(entry);
    const left = (this.#canaries.get(key) ?? []).filter((canary) => canary.entry !== entry);
    if (left.length > 0) this.#canaries.set(key, left);
    else {
      this.#canaries.delete(key);
      this.#onSplit(key, false);
    }
  }

  /** @param stable its key */
  splits(stable: string): boolean {
    return this.#canaries.has(stable);
  }

  /** @param headers as the function gets them */
  choose(stable: E, headers: RawHeaders): E {
    if (this.#canaries.size === 0) return stable;
    const canaries = this.#canaries.get(functionKey(stable.id));
    // A canary's own calls are its own: it is not split again.
    if (!canaries || stable.view.spec.canary) return stable;
    const shown = stickyValue(stable.view.spec.sticky, headers);
    const point = shown === undefined ? this.#random() * 100 : pointOf(shown);
    const canary = canaryAt(canaries, point)?.entry;
    // The others' places on the line stay: callers that stick to them are not moved.
    return canary && !canary.view.canaryEnd ? canary : stable;
  }
}

/** @returns undefined: this call sticks to nothing */
function stickyValue(sticky: StickyKey | undefined, headers: RawHeaders): string | undefined {
  if (!sticky) return undefined;
  if (sticky.from === 'header') return headerValue(headers, sticky.name);
  for (const pair of headerValue(headers, 'cookie')?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === sticky.name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
