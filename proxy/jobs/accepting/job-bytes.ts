/**
 * `--max-job-bytes`: how many bytes the bodies of one function's unfinished jobs may have. JetStream bounds a subject
 * by count and not by bytes, so the proxy keeps a ledger. A job is entered with its sequence when it is accepted and
 * struck out when its end is recorded. The price: each proxy counts what it has accepted itself, since it started, so
 * N proxies allow N times as much. The hard bound over everything is the scaler's `--job-max-bytes`.
 */
import { ReasonError } from '../../../common/runtime/errors.ts';
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';

/** Bytes held for one job. */
export interface Room {
  /** Once the size is known. @throws ReasonError `queue-full` or `body-too-large` */
  resize(bytes: number): Promise<void>;
  /** The job was stored under this sequence. */
  settle(sequence: number): void;
  /** The job was not stored; harmless after `settle`. */
  release(): void;
}

export interface JobBytesOptions {
  /** 0: no bound, and nothing is counted. */
  readonly maxBytes: number;
  /**
   * Up to which sequence all jobs of the function are done for certain. Asked when the bound is met, for an end
   * may have been told while NATS was away.
   */
  readonly doneUpTo: (id: FunctionId) => Promise<number>;
  readonly now?: () => number;
}

interface Ledger {
  bytes: number;
  readonly jobs: Map<number, number>;
  askedAt: number;
}

const ASK_AGAIN_MS = 500;
const RETRY_AFTER_SECONDS = 2;
/** Beyond so many jobs it is likely that ends were missed; 50 bytes each. */
const LEDGER_MAX = 20_000;
/** Ends that came before their job was entered: told in the same turn at the latest. */
const MAX_EARLY_JOBS = 1_000;

export class JobBytes {
  readonly #options: JobBytesOptions;
  readonly #ledgers = new Map<string, Ledger>();
  readonly #early = new Set<string>();

  constructor(options: JobBytesOptions) {
    this.#options = options;
  }

  get isOn(): boolean {
    return this.#options.maxBytes > 0;
  }

  /** Bytes of a function's jobs that are not known to be done. */
  heldBy(id: FunctionId): number {
    return this.#ledgers.get(functionKey(id))?.bytes ?? 0;
  }

  /** @throws ReasonError `queue-full`, or `body-too-large` for what would never fit */
  async reserve(id: FunctionId, bytes: number): Promise<Room> {
    if (!this.isOn) return FREE;
    await this.#take(id, bytes);
    let held = bytes;
    return {
      resize: async (wanted) => {
        await this.#take(id, wanted - held);
        held = wanted;
      },
      settle: (sequence) => {
        if (!this.#early.delete(`${functionKey(id)}/${sequence}`))
          this.#ledgerOf(id).jobs.set(sequence, held);
        else this.#give(id, held);
        held = 0;
      },
      release: () => {
        this.#give(id, held);
        held = 0;
      },
    };
  }

  /** A job's end was recorded, by whomever it was accepted. */
  ended(id: FunctionId, sequence: number): void {
    const jobs = this.#ledgers.get(functionKey(id))?.jobs;
    const bytes = jobs?.get(sequence);
    if (bytes === undefined) return this.#remember(`${functionKey(id)}/${sequence}`);
    jobs?.delete(sequence);
    this.#give(id, bytes);
  }

  async #take(id: FunctionId, bytes: number): Promise<void> {
    const { maxBytes } = this.#options;
    if (bytes > maxBytes) {
      const message = `this job has ${bytes} bytes; all of ${id.name}'s may have ${maxBytes} (--max-job-bytes)`;
      throw new ReasonError('body-too-large', message);
    }
    const { bytes: before, jobs } = this.#ledgerOf(id);
    if (before + bytes > maxBytes || jobs.size > LEDGER_MAX) await this.#reconcile(id);
    const held = this.heldBy(id);
    if (bytes > 0 && held + bytes > maxBytes) {
      const message = `the jobs of ${id.name} have ${held} bytes of ${maxBytes} (--max-job-bytes); try again when some are done`;
      throw new ReasonError('queue-full', message, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    this.#ledgerOf(id).bytes += bytes;
  }

  async #reconcile(id: FunctionId): Promise<void> {
    const { now = () => performance.now(), doneUpTo } = this.#options;
    const ledger = this.#ledgerOf(id);
    if (now() - ledger.askedAt < ASK_AGAIN_MS) return;
    ledger.askedAt = now();
    const done = await doneUpTo(id).catch(() => 0);
    for (const sequence of ledger.jobs.keys()) if (sequence <= done) this.ended(id, sequence);
  }

  #give(id: FunctionId, bytes: number): void {
    const key = functionKey(id);
    const ledger = this.#ledgers.get(key);
    if (!ledger) return;
    ledger.bytes -= bytes;
    if (ledger.bytes === 0 && ledger.jobs.size === 0) this.#ledgers.delete(key);
  }

  #ledgerOf(id: FunctionId): Ledger {
    const key = functionKey(id);
    let ledger = this.#ledgers.get(key);
    if (!ledger) this.#ledgers.set(key, (ledger = { bytes: 0, jobs: new Map(), askedAt: -Infinity }));
    return ledger;
  }

  #remember(end: string): void {
    this.#early.add(end);
    if (this.#early.size <= MAX_EARLY_JOBS) return;
    const oldest = this.#early.values().next().value;
    if (oldest !== undefined) this.#early.delete(oldest);
  }
}

const FREE: Room = { resize: async () => undefined, settle: () => undefined, release: () => undefined };
