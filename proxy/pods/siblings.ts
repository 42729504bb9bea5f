/**
 * Whether another proxy could take over: a pod with the same owner as this proxy's own, ready and not ending. From the
 * proxy's own watch, so it is known only where that covers the proxy's namespace.
 */
import { ownerKey } from './endpoints.ts';
import type { PodView } from './pod-view.ts';

export class Siblings {
  readonly #namespace: string;
  readonly #ownName: string;
  /** Pods of the own namespace: owner, and whether it takes calls. */
  readonly #pods = new Map<string, { readonly owner: string; readonly isReady: boolean }>();

  constructor(namespace: string, ownName: string) {
    this.#namespace = namespace;
    this.#ownName = ownName;
  }

  setPod(view: PodView): void {
    if (view.namespace !== this.#namespace) return;
    const isReady = view.isKubeReady && !view.isTerminating && !view.isEnded;
    this.#pods.set(view.name, { owner: ownerKey(view.owner), isReady });
  }

  deletePod(namespace: string, name: string): void {
    if (namespace === this.#namespace) this.#pods.delete(name);
  }

  /** False also where we cannot know: without our own pod there is nothing to compare with. */
  get isAlone(): boolean {
    const own = this.#pods.get(this.#ownName);
    if (!own) return false;
    for (const [name, { owner, isReady }] of this.#pods)
      if (isReady && owner === own.owner && name !== this.#ownName) return false;
    return true;
  }
}
