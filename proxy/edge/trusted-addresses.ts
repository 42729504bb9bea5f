/**
 * Which addresses are those of pods that we watch and trust. In a dual-stack cluster a pod has two addresses, and
 * calls from either. An address may for a moment be that of two pods, and then both must be trusted.
 */
import type { PodView } from '../pods/pod-view.ts';

type Addressed = Pick<PodView, 'addresses' | 'isEnded' | 'isHostNetwork' | 'spec'>;

export class TrustedAddresses {
  /** Address → the pods that have it, and whether each is untrusted. */
  readonly #pods = new Map<string, Map<string, boolean>>();
  readonly #ofPod = new Map<string, readonly string[]>();

  /** @param view undefined: the pod is gone */
  set(key: string, view: Addressed | undefined): void {
    const isUsable = view && !view.isEnded && !view.isHostNetwork;
    const addresses = isUsable ? view.addresses : [];
    for (const old of this.#ofPod.get(key) ?? []) if (!addresses.includes(old)) this.#drop(key, old);
    if (addresses.length === 0) this.#ofPod.delete(key);
    else this.#ofPod.set(key, addresses);
    for (const address of addresses) {
      const pods = this.#pods.get(address) ?? new Map<string, boolean>();
      pods.set(key, view?.spec?.trusted === false);
      this.#pods.set(address, pods);
    }
  }

  /** Whether an address is that of a pod we watch, and all pods that have it are trusted. */
  has(address: string): boolean {
    const pods = this.#pods.get(address);
    return pods !== undefined && [...pods.values()].every((isUntrusted) => !isUntrusted);
  }

  #drop(key: string, address: string): void {
    const pods = this.#pods.get(address);
    pods?.delete(key);
    if (pods?.size === 0) this.#pods.delete(address);
  }
}
