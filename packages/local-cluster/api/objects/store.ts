/**
 * The objects, their versions and a bounded history of changes, in memory and synchronous, so that what a
 * caller reads and writes between two awaits is one transaction. It knows nothing of HTTP or of validity.
 *
 * Invariants: stored objects are frozen; every change has its own resourceVersion, one counter for all kinds;
 * listeners hear every change, in the order of versions. Listeners must not throw.
 */
import { expired } from './api-errors.ts';
import type { KubeObject, WatchEventType } from './types.ts';

export interface StoreChange {
  readonly version: number;
  readonly type: WatchEventType;
  /** For DELETED: the last state, with the version of the deletion. */
  readonly object: KubeObject;
  readonly previous: KubeObject | undefined;
}

export type StoreListener = (event: StoreChange) => void;

interface Shelf {
  readonly objects: Map<string, KubeObject>;
  readonly events: StoreChange[];
  readonly listeners: Set<StoreListener>;
  /** Changes up to this version are no longer in `events`. */
  forgottenUpTo: number;
}

/**
 * Changes kept per resource. A watch that was cut resumes within milliseconds here, so 2,000 changes (some 20 s of
 * 100 changes per second) are plenty. Each costs a reference, because the objects are shared.
 */
const MAX_KEPT_CHANGES = 2_000;

export function storeKey(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}

export class Store {
  readonly #shelves = new Map<string, Shelf>();
  readonly #due: { event: StoreChange; listeners: readonly StoreListener[] }[] = [];
  #isPublishing = false;
  /** Starts above 1, since `0` and `1` mean something else to some clients. */
  #version = 100;

  #oldest = 0;

  get version(): number {
    return this.#version;
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#shelf(resource).objects.get(storeKey(namespace, name));
  }

  count(resource: string): number {
    return this.#shelf(resource).objects.size;
  }

  /** In order of namespace and name, as etcd's keys are; `namespace` undefined: all of them. */
  list(resource: string, namespace?: string): KubeObject[] {
    const prefix = namespace === undefined ? '' : storeKey(namespace, '');
    const found: [string, KubeObject][] = [];
    for (const entry of this.#shelf(resource).objects) if (entry[0].startsWith(prefix)) found.push(entry);
    return found.toSorted((a, b) => (a[0] < b[0] ? -1 : 1)).map(([, object]) => object);
  }

  /** Stores a new object or the next state of one; gives it its version. */
  put(resource: string, object: KubeObject): KubeObject {
    const shelf = this.#shelf(resource);
    const key = storeKey(object.metadata.namespace, object.metadata.name);
    const previous = shelf.objects.get(key);
    const stored = this.#stamp(object);
    shelf.objects.set(key, stored);
    this.#publish(shelf, previous === undefined ? 'ADDED' : 'MODIFIED', stored, previous);
    return stored;
  }

  remove(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const shelf = this.#shelf(resource);
    const previous = shelf.objects.get(storeKey(namespace, name));
    if (previous === undefined) return undefined;
    shelf.objects.delete(storeKey(namespace, name));
    const last = this.#stamp(previous);
    this.#publish(shelf, 'DELETED', last, previous);
    return last;
  }

  /** Returns its release. */
  subscribe(resource: string, listener: StoreListener): () => void {
    const { listeners } = this.#shelf(resource);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** What happened after `version`; throws 410 when that is no longer known. */
  eventsAfter(resource: string, version: number): readonly StoreChange[] {
    const shelf = this.#shelf(resource);
    if (version < shelf.forgottenUpTo) {
      throw expired(`too old resource version: ${version} (${shelf.forgottenUpTo})`);
    }
    return shelf.events.filter((event) => event.version > version);
  }

  /** Continue tokens from before this are too old. */
  get oldestVersion(): number {
    return this.#oldest;
  }

  /** Forgets all history: every version handed out until now is too old from now on. */
  forgetHistory(): void {
    this.#version += 1;
    this.#oldest = this.#version;
    for (const shelf of this.#shelves.values()) {
      shelf.events.length = 0;
      shelf.forgottenUpTo = this.#version;
    }
  }

  #shelf(resource: string): Shelf {
    let shelf = this.#shelves.get(resource);
    if (shelf === undefined) {
      shelf = { objects: new Map(), events: [], listeners: new Set(), forgottenUpTo: this.#oldest };
      this.#shelves.set(resource, shelf);
    }
    return shelf;
  }

  #stamp(object: KubeObject): KubeObject {
    this.#version += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    return deepFreeze({ ...object, metadata });
  }

  #publish(shelf: Shelf, type: WatchEventType, object: KubeObject, previous: KubeObject | undefined): void {
    const event = { version: this.#version, type, object, previous };
    shelf.events.push(event);
    if (shelf.events.length > MAX_KEPT_CHANGES) {
      const dropped = shelf.events.splice(0, MAX_KEPT_CHANGES / 4);
      shelf.forgottenUpTo = dropped.at(-1)!.version;
    }
    this.#due.push({ event, listeners: [...shelf.listeners] });
    // A listener that writes must not let the others hear its change before the one that caused it.
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    try {
      for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
        for (const listener of next.listeners) listener(next.event);
      }
    } finally {
      this.#isPublishing = false;
    }
  }
}
