/**
 * Asks each source at its interval, and at once when it says that something has changed. One that fails is asked less
 * often, and so is one whose answers take long to read. A namespace whose sources take much of the thread's time waits.
 * Nothing of a source outlives its rule.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { SourceAnswer, SourceReader, SourceReading, SourceRule } from './source-rules.ts';
import { ThreadTime, TimeBudget, type TimePayer } from './thread-time.ts';
import { POLL_TURNS, SourceTurns } from './turns.ts';

export interface PollersOptions {
  readonly open: (rule: SourceRule) => SourceReader;
  readonly onAnswer: (answer: SourceAnswer) => void;
  readonly now: () => number;
  /** For how long a poll may run; default {@link SOURCE_POLL_MS}. */
  readonly pollMs?: number;
  /** From 0 to 1: spreads polls that began together. */
  readonly random?: () => number;
  /** In ms, for what the thread's time is spent on. */
  readonly clock?: () => number;
}

/** For one answer of one source. */
const SOURCE_POLL_MS = 5_000;
/** A source that fails is asked again after twice its interval, then four times, up to so long. */
const LONGEST_PAUSE_MS = 60_000;
/** A source that pushes faster is read at most so often. */
const PUSH_SPACING_MS = 50;
/** Reading one source may take a twentieth of a core. */
const COST_FACTOR = 20;
/** Characters of a fault. It may hold a server's own words. */
const MAX_FAULT_LENGTH = 300;

interface Shared {
  readonly time: ThreadTime;
  readonly turns: SourceTurns;
  readonly cost: SourceCost;
}

export class SourcePollers {
  readonly #options: PollersOptions;
  readonly #clock: () => number;
  readonly #pollers = new Map<number, Poller>();
  readonly #budgets = new Map<string, TimeBudget>();
  readonly #time: ThreadTime;
  readonly #turns = new SourceTurns(POLL_TURNS, (namespace) => this.#budgets.get(namespace)?.waitMs ?? 0);

  constructor(options: PollersOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#time = new ThreadTime(this.#clock);
  }

  get size(): number {
    return this.#pollers.size;
  }

  /** Polls that run, and polls that wait for their turn. */
  get polls(): { readonly running: number; readonly inLine: number } {
    return this.#turns;
  }

  /** @param gone ids of rules that are no more */
  change(set: readonly SourceRule[], gone: readonly number[]): void {
    for (const id of gone) {
      this.#pollers.get(id)?.close();
      this.#pollers.delete(id);
    }
    if (set.length > 0) this.#time.start();
    for (const rule of set) this.#open(rule);
    for (const [namespace, budget] of this.#budgets) if (budget.isUnused) this.#budgets.delete(namespace);
    if (this.#pollers.size === 0) this.#time.stop();
  }

  #open(rule: SourceRule): void {
    const cost = new SourceCost(() => this.#budgetOf(rule.of.namespace));
    const shared = { time: this.#time, turns: this.#turns, cost };
    const poller = this.#time.run(cost, () => new Poller(rule, this.#options, shared));
    this.#pollers.set(rule.id, poller);
    poller.begin();
  }

  /** What was used counts on when rules change: only who used nothing is forgotten. */
  #budgetOf(namespace: string): TimeBudget {
    const budget = this.#budgets.get(namespace) ?? new TimeBudget(this.#clock);
    this.#budgets.set(namespace, budget);
    return budget;
  }
}

/** What one source costs, on its namespace's account. */
class SourceCost implements TimePayer {
  readonly #budget: () => TimeBudget;
  #spentMs = 0;
  #lastMs = 0;
  #ms = 0;

  constructor(budget: () => TimeBudget) {
    this.#budget = budget;
  }

  spend(ms: number): void {
    this.#spentMs += ms;
    this.#budget().spend(ms);
  }

  /** A poll ends. One that was dear by chance, such as the first one that loads a library, does not count. */
  polled(): void {
    this.#ms = Math.min(this.#spentMs, this.#lastMs);
    this.#lastMs = this.#spentMs;
    this.#spentMs = 0;
  }

  /** From the start of one poll to that of the next. */
  get pauseMs(): number {
    return this.#ms * COST_FACTOR;
  }
}

class Poller {
  readonly #rule: SourceRule;
  readonly #options: PollersOptions;
  readonly #shared: Shared;
  readonly #reader: SourceReader;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #polls = 0;
  #isPolling = false;
  #isPushed = false;
  #polledAtMs = -Infinity;

  constructor(rule: SourceRule, options: PollersOptions, shared: Shared) {
    this.#rule = rule;
    this.#options = options;
    this.#shared = shared;
    this.#reader = options.open(rule);
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#reader.close();
  }

  /** Whoever pushed, or set the timer: the source pays. */
  begin(): void {
    const { time, cost } = this.#shared;
    time.run(cost, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#isPolling) return;
    this.#isPolling = true;
    const end = await this.#shared.turns.take(this.#rule.of, this.#closing.signal);
    if (!end) return;
    this.#isPushed = false;
    this.#polledAtMs = performance.now();
    try {
      if (!this.#closing.signal.aborted) await this.#ask();
    } finally {
      this.#shared.cost.polled();
      end();
      this.#isPolling = false;
    }
    if (!this.#closing.signal.aborted) this.#plan();
  }

  async #ask(): Promise<void> {
    const { pollMs = SOURCE_POLL_MS, now, onAnswer } = this.#options;
    const timeout = AbortSignal.timeout(pollMs);
    const signal = AbortSignal.any([timeout, this.#closing.signal]);
    let readings: SourceAnswer['readings'];
    try {
      readings = await inTime(this.#reader.read(signal), signal);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const fault = timeout.aborted ? `no answer within ${pollMs / 1_000} s` : describeError(error);
      readings = this.#rule.questions.map(() => ({ value: undefined, fault }));
    }
    if (this.#closing.signal.aborted) return;
    onAnswer({ id: this.#rule.id, atMs: now(), readings: readings.map(withShortFault) });
    if (this.#failures === 0) this.#reader.follow?.(() => this.#pushed());
  }

  #plan(): void {
    const { random = Math.random } = this.#options;
    if (this.#isPushed) return this.#againPushed();
    const { intervalMs } = this.#rule.source;
    const pauseMs = Math.min(intervalMs * 2 ** this.#failures, Math.max(intervalMs, LONGEST_PAUSE_MS));
    const spread = this.#polls++ === 0 ? 0.5 + random() / 2 : 1;
    const dueMs =
      this.#polledAtMs + Math.max(pauseMs * spread, this.#shared.cost.pauseMs) - performance.now();
    this.#again(Math.min(dueMs, this.#reader.nextInMs?.() ?? Infinity));
  }

  #pushed(): void {
    if (this.#closing.signal.aborted || this.#isPushed) return;
    this.#isPushed = true;
    if (!this.#isPolling) this.#againPushed();
  }

  #againPushed(): void {
    const pauseMs = Math.max(PUSH_SPACING_MS, this.#shared.cost.pauseMs);
    this.#again(this.#polledAtMs + pauseMs - performance.now());
  }

  #again(inMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.begin(), Math.max(0, inMs));
  }
}

function withShortFault(reading: SourceReading): SourceReading {
  const { fault } = reading;
  return fault === undefined ? reading : { ...reading, fault: fault.slice(0, MAX_FAULT_LENGTH) };
}

/** Also where the work itself does not listen. */
function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}
