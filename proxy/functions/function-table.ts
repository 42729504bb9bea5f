/**
 * Which functions there are, and which one a caller means. A name is unique in a namespace: where a
 * Deployment, a StatefulSet and bare pods share one, the first of these kinds has it.
 *
 * Room `proxy/functions`: The functions, and which of them a path or a caller may see.
 * Comes in: watch events.
 * Goes out: a function entry for a name.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { HostPolicy, HostTable } from '../../common/function/hosts.ts';
import type { HostRule } from '../../common/function/spec.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { CanaryTable } from './canary-table.ts';
import type { FunctionView } from './function-view.ts';

type Kind = FunctionView['kind'];

const PRECEDENCE: readonly Kind[] = ['Deployment', 'StatefulSet', 'Pod'];

/** What the table keeps for a function; made by `create`, told of changes. */
export interface TableEntry {
  readonly id: FunctionId;
  readonly view: FunctionView;
  /** It has canaries. */
  isSplit: boolean;
  update(view: FunctionView): void;
  close(): void;
}

interface Hosted<E> {
  readonly id: FunctionId;
  readonly createdAtMs: number;
  readonly hosts: readonly HostRule[];
  readonly entry: E;
}

export class FunctionTable<E extends TableEntry> {
  readonly #namespace: string;
  readonly #create: (view: FunctionView) => E;
  readonly #views = new Map<string, Map<Kind, FunctionView>>();
  readonly #entries = new Map<string, E>();
  readonly #hosts: HostTable<Hosted<E>>;
  readonly #hosted = new Map<string, Hosted<E>>();
  readonly #canaries: CanaryTable<E>;

  /**
   * @param namespace in which a bare name is looked up
   * @param hosts which hosts functions may claim; default: none
   * @param random from 0 to below 1: splits calls among a function and its canaries
   */
  constructor(
    namespace: string,
    create: (view: FunctionView) => E,
    hosts = new HostPolicy([]),
    random: () => number = Math.random,
  ) {
    this.#namespace = namespace;
    this.#create = create;
    this.#hosts = new HostTable(hosts);
    this.#canaries = new CanaryTable(random, (stable, isSplit) => {
      const entry = this.#entries.get(stable);
      if (entry) entry.isSplit = isSplit;
    });
  }

  /** The function that claims the Host of a request. */
  findByHost(header: string | undefined, path: string): E | undefined {
    return this.#hosts.find(header, path)?.entry;
  }

  /** Who runs a call of this function: itself, or one of its canaries. @param headers as the function gets them */
  partFor(entry: E, headers: RawHeaders): E {
    return this.#canaries.choose(entry, headers);
  }

  get all(): Iterable<E> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: FunctionId): E | undefined {
    return this.#entries.get(functionKey(id));
  }

  /** `name` in the own namespace, even if it has dots; else `name.namespace`, split at the last dot. */
  find(name: string): E | undefined {
    const own = this.get({ namespace: this.#namespace, name });
    if (own) return own;
    const dot = name.lastIndexOf('.');
    if (dot <= 0) return undefined;
    return this.get({ namespace: name.slice(dot + 1), name: name.slice(0, dot) });
  }

  /** Whether it is in the namespace in which a bare name is looked for. */
  isOwn(id: FunctionId): boolean {
    return id.namespace === this.#namespace;
  }

  set(view: FunctionView): void {
    const key = functionKey(view.id);
    const views = this.#views.get(key) ?? new Map<Kind, FunctionView>();
    this.#views.set(key, views.set(view.kind, view));
    this.#choose(key, views);
  }

  remove(kind: Kind, id: FunctionId): void {
    const key = functionKey(id);
    const views = this.#views.get(key);
    if (!views?.delete(kind)) return;
    this.#choose(key, views);
    if (views.size === 0) this.#views.delete(key);
  }

  #choose(key: string, views: ReadonlyMap<Kind, FunctionView>): void {
    const kind = PRECEDENCE.find((k) => views.has(k));
    const view = kind && views.get(kind);
    const entry = this.#entries.get(key);
    if (entry && entry.view.kind === view?.kind) {
      entry.update(view);
      this.#canaries.set(entry);
      return this.#setHosts(key, entry);
    }
    // Another kind has other pods: nothing of the old entry holds for it.
    entry?.close();
    if (entry) this.#canaries.remove(entry);
    const made = view && this.#create(view);
    if (made) {
      made.isSplit = this.#canaries.splits(key);
      this.#entries.set(key, made);
      this.#canaries.set(made);
    } else this.#entries.delete(key);
    this.#setHosts(key, made);
  }

  #setHosts(key: string, entry: E | undefined): void {
    const before = this.#hosted.get(key);
    const hosts = entry?.view.spec.hosts ?? [];
    if (before?.entry === entry && before?.hosts === hosts) return;
    if (before) this.#hosts.remove(before);
    this.#hosted.delete(key);
    if (!entry || hosts.length === 0) return;
    const hosted = { id: entry.id, createdAtMs: entry.view.createdAtMs, hosts, entry };
    this.#hosts.add(hosted);
    this.#hosted.set(key, hosted);
  }
}
