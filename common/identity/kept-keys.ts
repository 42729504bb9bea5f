/**
 * Keys that somebody publishes: the cluster's for service accounts, or an issuer's for callers. They are read when they are
 * first needed, once for all that ask. They are read again when they are old, beside what goes on, and for a token of a key
 * that nobody knows. Anybody can send such a token, so that happens once in a while at most.
 */

export interface KeptKeysOptions<Keys> {
  readonly read: () => Promise<Keys>;
  /** After this they are read again. So a key that was taken away is believed no longer, while the publisher answers. */
  readonly freshMs: number;
  /** For so long they are good while they cannot be read. Default: for good. */
  readonly usableMs?: number;
  /** Between two reads at least. */
  readonly coolDownMs: number;
  /** The same while there are none that may be used. Then no token is good, so it is tried sooner. */
  readonly firstCoolDownMs: number;
  /** Each read that fails. */
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

export class KeptKeys<Keys> {
  readonly #options: KeptKeysOptions<Keys>;
  #known: { readonly keys: Keys; readonly readAtMs: number } | undefined;
  #triedAtMs = -Infinity;
  #reading: Promise<Keys> | undefined;

  constructor(options: KeptKeysOptions<Keys>) {
    this.#options = options;
  }

  /** @throws Error while there are none that may be used: what reading them threw, or that this was a moment ago */
  async current(): Promise<Keys> {
    const usable = this.#usable;
    if (usable) {
      if (this.#options.now() - usable.readAtMs > this.#options.freshMs)
        void this.refresh().catch(() => undefined);
      return usable.keys;
    }
    const keys = await this.refresh();
    if (keys === undefined) throw new Error('the keys could not be read a moment ago');
    return keys;
  }

  /** Reads them again. @returns undefined where that was tried a moment ago @throws what reading them throws */
  async refresh(): Promise<Keys | undefined> {
    if (this.#reading) return this.#reading;
    const { coolDownMs, firstCoolDownMs, now } = this.#options;
    const waitMs = this.#usable ? coolDownMs : firstCoolDownMs;
    return now() - this.#triedAtMs < waitMs ? undefined : this.#read();
  }

  get #usable(): { readonly keys: Keys; readonly readAtMs: number } | undefined {
    const { now, usableMs = Infinity } = this.#options;
    return this.#known && now() - this.#known.readAtMs <= usableMs ? this.#known : undefined;
  }

  #read(): Promise<Keys> {
    const { read, now, onError } = this.#options;
    this.#triedAtMs = now();
    this.#reading = read()
      .then(
        (keys) => {
          this.#known = { keys, readAtMs: now() };
          return keys;
        },
        (error: unknown) => {
          onError(error);
          throw error;
        },
      )
      .finally(() => (this.#reading = undefined));
    return this.#reading;
  }
}
