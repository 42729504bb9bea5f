/**
 * What a thread's time is spent on. Reading an answer goes through many callbacks: of sockets, of libraries, of promises.
 * Node tells when each of them begins and ends, and whose work has started it. So the time is counted whatever reads,
 * and messages that a source pushes between polls count too. Each hook costs about 0.2 µs.
 */
import { AsyncLocalStorage, createHook } from 'node:async_hooks';

/** Who pays. */
export interface TimePayer {
  /** Called often. */
  spend(ms: number): void;
}

export class ThreadTime {
  readonly #clock: () => number;
  readonly #whose = new AsyncLocalStorage<TimePayer>();
  readonly #hook = createHook({
    before: () => this.#begin(this.#whose.getStore()),
    after: () => this.#end(),
  });
  /** Whose work is running, and within whose. */
  #stack: (TimePayer | undefined)[] = [];
  #sinceMs = 0;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Counts from now on; nothing else in the thread is slowed down while nobody counts. */
  start(): void {
    this.#hook.enable();
  }

  stop(): void {
    this.#hook.disable();
    this.#stack = [];
  }

  /** All that `work` starts is paid by the account, now and later. */
  run<T>(account: TimePayer, work: () => T): T {
    this.#begin(account);
    try {
      return this.#whose.run(account, work);
    } finally {
      this.#end();
    }
  }

  #begin(account: TimePayer | undefined): void {
    this.#charge();
    this.#stack.push(account);
  }

  #end(): void {
    this.#charge();
    this.#stack.pop();
  }

  #charge(): void {
    const nowMs = this.#clock();
    this.#stack.at(-1)?.spend(nowMs - this.#sinceMs);
    this.#sinceMs = nowMs;
  }
}

/** A part of the thread for whom takes much: a tenth of its time over 20 s, so 2 s at once. */
const TIME_BUDGET = { share: 0.1, atOnceMs: 2_000 } as const;

export class TimeBudget implements TimePayer {
  readonly #clock: () => number;
  #usedMs = 0;
  #atMs: number;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#atMs = clock();
  }

  spend(ms: number): void {
    this.#usedMs = this.#left() + ms;
  }

  /** For how long nothing more may be begun. */
  get waitMs(): number {
    return Math.max(0, (this.#left() - TIME_BUDGET.atOnceMs) / TIME_BUDGET.share);
  }

  get isUnused(): boolean {
    return this.#left() === 0;
  }

  #left(): number {
    const nowMs = this.#clock();
    this.#usedMs = Math.max(0, this.#usedMs - (nowMs - this.#atMs) * TIME_BUDGET.share);
    this.#atMs = nowMs;
    return this.#usedMs;
  }
}
