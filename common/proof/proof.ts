/**
 * The proof of a proxy: what it shows to a sidecar once per connection. It signs the pod that is meant and the time, with
 * a key that proxies alone have. The sidecar has the public half, so nothing that a pod holds opens another pod. A proof
 * that somebody overheard opens this one pod for some minutes. What it costs is in docs/decisions/proof-of-the-proxy.md.
 *
 * Room `common/proof`: What a proxy shows to a sidecar: that it is a proxy.
 * Comes in: a key, the pod that is meant, the time.
 * Goes out: the text of a header, or why it is not believed.
 */
import { hash } from 'node:crypto';
import { verifierOf, type Nkey, type Verify } from '../identity/nkey.ts';

/** By how much the clocks of a proxy's node and of a pod's may differ, and how long a proof is good. As in Kerberos. */
export const PROOF_AGE_MS = 300_000;
/** Proofs that were believed: each proxy makes one per minute and pod. Checking one takes 150 µs, looking it up 3. */
const MOST_REMEMBERED = 64;
const FORM = /^([A-Z2-7]{12})\.(\d{1,12})\.([\w-]{86})$/;

/** Names a key in a proof. */
export function proofKeyId(publicKey: string): string {
  return publicKey.slice(1, 13);
}

/** @param pod `namespace/name` */
export function makeProof(key: Nkey, pod: string, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1_000);
  const signature = key.sign(signedText(pod, String(seconds))).toString('base64url');
  return `${proofKeyId(key.publicKey)}.${seconds}.${signature}`;
}

export interface ProofCheckerOptions {
  /** Whose proofs count: public keys. */
  readonly publicKeys: readonly string[];
  /** `namespace/name` of this pod. */
  readonly pod: string;
  readonly now?: () => number;
}

export class ProofChecker {
  readonly #options: ProofCheckerOptions;
  readonly #now: () => number;
  readonly #keys = new Map<string, Verify>();
  /** Hashes, so that how long a look takes tells nothing of a proof; with the end of their time. */
  readonly #believed = new Map<string, number>();

  /** @throws Error for what is no public key */
  constructor(options: ProofCheckerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    for (const key of options.publicKeys) this.#keys.set(proofKeyId(key), verifierOf(key));
  }

  /** @returns why it is not believed; undefined: it is */
  whyNot(proof: string): string | undefined {
    const digest = hash('sha256', proof);
    const nowMs = this.#now();
    if ((this.#believed.get(digest) ?? 0) > nowMs) return undefined;
    const [, id = '', seconds = '', signature = ''] = FORM.exec(proof) ?? [];
    if (id === '') return 'its proof has another form than this version knows';
    const verify = this.#keys.get(id);
    if (!verify) return `its proof is of key ${id}, and this pod knows ${[...this.#keys.keys()].join(', ')}`;
    const madeMs = Number(seconds) * 1_000;
    const offMs = Math.abs(nowMs - madeMs);
    if (offMs > PROOF_AGE_MS)
      return `its clock and that of this pod differ by ${Math.round(offMs / 1_000)} s; allowed: ${PROOF_AGE_MS / 1_000} s`;
    const text = signedText(this.#options.pod, seconds);
    if (!verify(text, Buffer.from(signature, 'base64url'))) return 'its proof is not for this pod';
    this.#remember(digest, madeMs + PROOF_AGE_MS);
    return undefined;
  }

  #remember(digest: string, untilMs: number): void {
    if (this.#believed.size >= MOST_REMEMBERED) {
      const [oldest] = this.#believed.keys();
      if (oldest !== undefined) this.#believed.delete(oldest);
    }
    this.#believed.set(digest, untilMs);
  }
}

function signedText(pod: string, seconds: string): Buffer {
  return Buffer.from(`slimfaas-proof 1\n${pod}\n${seconds}`);
}
