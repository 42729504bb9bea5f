/**
 * API keys: a folder with one file for each, as a Secret is mounted. The file's name is the key's name, and its text is
 * `sha256:<hex of the key's SHA-256>`, with `rate=10 burst=20` behind it where the key has a rate. Keys are long random
 * texts, so a plain hash is enough: there is nothing to guess.
 */
import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RateSpec } from '../../common/function/callers.ts';
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Clock } from '../clock.ts';
import { takeToken } from './caller-rates.ts';

export interface ApiKey {
  readonly name: string;
  readonly rate: RateSpec | undefined;
}

const FORM = /^sha256:([0-9a-f]{64})(?:\s+rate=(\d+(?:\.\d+)?)(?:\s+burst=(\d+))?)?$/i;

export class ApiKeys {
  readonly #folder: string;
  readonly #log: Log;
  #keys: ReadonlyMap<string, ApiKey> = new Map();
  readonly #fullAtMs = new Map<string, number>();

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  find(key: string): ApiKey | undefined {
    return this.#keys.get(hash('sha256', key));
  }

  /** @returns 0, or milliseconds until the key may be used again */
  takeToken({ name, rate }: ApiKey, now: number): number {
    if (!rate) return 0;
    const { waitMs, fullAtMs } = takeToken(this.#fullAtMs.get(name) ?? 0, rate, now);
    this.#fullAtMs.set(name, fullAtMs);
    return waitMs;
  }

  /** Reads the folder once, then follows it. @throws UsageError when it cannot be read at the start */
  async follow(clock: Clock, everyMs: number): Promise<() => void> {
    try {
      this.#keys = await this.#read();
    } catch (error) {
      throw new UsageError(`--api-keys: ${describeError(error)}`);
    }
    let cancel = (): void => undefined;
    let isOver = false;
    const again = async (): Promise<void> => {
      try {
        this.#keys = await this.#read();
      } catch (error) {
        this.#log.error({ error: describeError(error) }, 'API keys: the ones read before stay');
      }
      if (!isOver) cancel = clock.after(everyMs, () => void again());
    };
    cancel = clock.after(everyMs, () => void again());
    return () => {
      isOver = true;
      cancel();
    };
  }

  async #read(): Promise<ReadonlyMap<string, ApiKey>> {
    const names = (await readdir(this.#folder)).filter((name) => !name.startsWith('.'));
    const keys = new Map<string, ApiKey>();
    for (const name of names) {
      const match = FORM.exec((await readFile(join(this.#folder, name), 'utf8')).trim());
      const rate = rateOf(match?.[2], match?.[3]);
      // A rate of 0 shuts the key out: it is no key without a limit.
      if (match && rate !== 'none') keys.set((match[1] as string).toLowerCase(), { name, rate });
      else
        this.#log.error(
          { key: name },
          'API key left out; its form is sha256:<64 hex digits> rate=10 burst=20, both above 0',
        );
    }
    for (const name of this.#fullAtMs.keys()) if (!names.includes(name)) this.#fullAtMs.delete(name);
    return keys;
  }
}

/** @returns undefined without one; `none` for one that lets nobody in */
function rateOf(rateText: string | undefined, burstText: string | undefined): RateSpec | 'none' | undefined {
  if (rateText === undefined) return undefined;
  const ratePerSecond = Number(rateText);
  const burst = burstText === undefined ? Math.ceil(ratePerSecond) : Number(burstText);
  return ratePerSecond > 0 && burst > 0 ? { ratePerSecond, burst } : 'none';
}
