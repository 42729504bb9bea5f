/**
 * Writes EndpointSlices: one request at a time for each, a bounded number a second for all, and a pause after a
 * failure. What is refused here is asked for again in the next pass, with what is right by then.
 */
import type { V1EndpointSlice } from '../../common/kube/client.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { SliceApi } from '../world/kube-slices.ts';
import type { SliceWrites, WrittenSlice } from './slices.ts';

/** With five passes a second, 300 writes a second: a new proxy is in 10,000 slices after 34 s. */
const WRITES_PER_PASS = 60;
const PAUSE_MS = 1_000;
/** The watch shows slices of ours alone, so nobody tells that one of somebody else is gone. */
const TAKEN_PAUSE_MS = 10_000;
/** After one, the watch may still have to tell that another scaler has made it. */
const TAKEN_AFTER = 2;
/** By then it was tried again, unless it is not wanted any more. */
const FORGOTTEN_MS = 60_000;

export interface SliceWriterOptions {
  readonly api: SliceApi;
  readonly onWritten: (slice: V1EndpointSlice) => void;
  /** @param key of the slice */
  readonly onGone: (key: string) => void;
  readonly onWrite: (verb: 'create' | 'replace' | 'remove', isDone: boolean) => void;
  readonly now: () => number;
  readonly log: Log;
}

export class SliceWriter implements SliceWrites {
  readonly #options: SliceWriterOptions;
  readonly #busy = new Set<string>();
  readonly #pausedUntil = new Map<string, number>();
  /** How often in turn a slice could not be made, as there is one. */
  readonly #conflicts = new Map<string, { readonly count: number; readonly atMs: number }>();
  #left = WRITES_PER_PASS;

  constructor(options: SliceWriterOptions) {
    this.#options = options;
  }

  /** A new pass begins. */
  refill(): void {
    this.#left = WRITES_PER_PASS;
    const now = this.#options.now();
    for (const [key, untilMs] of this.#pausedUntil) if (untilMs <= now) this.#pausedUntil.delete(key);
    for (const [key, { atMs }] of this.#conflicts) if (now - atMs > FORGOTTEN_MS) this.#conflicts.delete(key);
  }

  isBusy(key: string): boolean {
    return this.#left <= 0 || this.#busy.has(key) || this.#pausedUntil.has(key);
  }

  isTaken(key: string): boolean {
    return (this.#conflicts.get(key)?.count ?? 0) >= TAKEN_AFTER;
  }

  create(key: string, body: V1EndpointSlice): void {
    this.#run(key, 'create', async () => this.#options.onWritten(await this.#options.api.create(body)));
  }

  replace(key: string, body: V1EndpointSlice): void {
    this.#run(key, 'replace', async () => this.#options.onWritten(await this.#options.api.replace(body)));
  }

  remove(key: string, { namespace, name, uid }: WrittenSlice): void {
    this.#run(key, 'remove', async () => {
      await this.#options.api.remove({ namespace, name, uid });
      this.#options.onGone(key);
    });
  }

  #run(key: string, verb: 'create' | 'replace' | 'remove', write: () => Promise<void>): void {
    const { log, now, onWrite } = this.#options;
    this.#left--;
    this.#busy.add(key);
    write()
      .then(
        () => {
          this.#conflicts.delete(key);
          onWrite(verb, true);
        },
        (error: unknown) => {
          onWrite(verb, false);
          // 404 and 409: somebody was faster; the watch tells what is there now.
          const wasTaken = this.isTaken(key);
          this.#count(key, verb, error);
          this.#pausedUntil.set(key, now() + (this.isTaken(key) ? TAKEN_PAUSE_MS : PAUSE_MS));
          if (wasTaken && this.isTaken(key)) return; // said once, and a fault of the workload meanwhile
          log.warn({ slice: key, verb, error: describeError(error) }, 'an EndpointSlice was not written');
        },
      )
      .finally(() => this.#busy.delete(key));
  }

  #count(key: string, verb: string, error: unknown): void {
    if (verb === 'create' && (error as { code?: unknown }).code === 409)
      this.#conflicts.set(key, {
        count: (this.#conflicts.get(key)?.count ?? 0) + 1,
        atMs: this.#options.now(),
      });
    else this.#conflicts.delete(key);
  }
}
