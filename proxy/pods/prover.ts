/**
 * Proves to pods that we are a proxy (common/proof/proof.ts). A pod's spec names the keys that its sidecar knows, so a
 * proof is made with one of these: old pods go on with an old key while new ones have a new one. A proof is used for a
 * minute, for every connection to its pod.
 */
import { podIdentity } from '../../common/places/protocol.ts';
import { makeProof, proofKeyId } from '../../common/proof/proof.ts';
import type { Nkey } from '../../common/identity/nkey.ts';
import type { Clock } from '../clock.ts';
import type { PodView } from './pod-view.ts';

/** A fifth of what a sidecar allows: the rest is for clocks that differ. */
const PROOF_USE_MS = 60_000;
/** A Secret has 16 at most. */
const MOST_KNOWN_KEYS = 64;

type Provable = Pick<PodView, 'namespace' | 'name' | 'proxyKeys'>;

export interface ProverOptions {
  readonly clock: Clock;
  /** Wall clock. */
  readonly now?: () => number;
}

export class Prover {
  readonly #options: ProverOptions;
  readonly #keys = new Map<string, Nkey>();
  readonly #made = new WeakMap<object, { readonly proof: string; readonly untilMs: number }>();
  /** A pod asks for a key that we do not have, which may have been made since. */
  onUnknownKey: () => void = () => undefined;

  constructor(options: ProverOptions) {
    this.#options = options;
  }

  /** Keys that are there no more stay: pods may still know them alone, and it opens nothing else. */
  addKeys(keys: readonly Nkey[]): void {
    for (const key of keys) this.#keys.set(key.publicKey, key);
    for (const name of this.#keys.keys()) {
      if (this.#keys.size <= MOST_KNOWN_KEYS) return;
      this.#keys.delete(name);
    }
  }

  /**
   * @param pod the same object for the same pod
   * @returns undefined: it asks for none, or for one of a key that we do not have
   */
  proofFor(pod: object, view: Provable): string | undefined {
    if (view.proxyKeys.length === 0) return undefined;
    const nowMs = this.#options.clock.now();
    const known = this.#made.get(pod);
    if (known && known.untilMs > nowMs) return known.proof;
    const key = view.proxyKeys.map((name) => this.#keys.get(name)).find((found) => found !== undefined);
    if (!key) {
      this.onUnknownKey();
      return undefined;
    }
    const { now = Date.now } = this.#options;
    const proof = makeProof(key, podIdentity(view.namespace, view.name), now());
    this.#made.set(pod, { proof, untilMs: nowMs + PROOF_USE_MS });
    return proof;
  }
}

/** What a pod that asks for a proof of an unknown key is told to be. */
export function unknownKeyText(view: Provable): string {
  return `its sidecar asks for a proof of key ${view.proxyKeys.map(proofKeyId).join(', ')}, which this proxy does not have; make the pod anew`;
}
