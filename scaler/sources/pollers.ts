/**
 * Asks each source at its interval, and at once when it says that something has changed. One that fails is asked less
 * often, and so is one whose answers take long to read. Nothing of a source outlives its rule.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { SourceAnswer, SourceReader, SourceReading, SourceRule } from './source-rules.ts';
import { PollTurns } from './poll-turns.ts';

export interface PollersOptions {
  readonly open: (rule: SourceRule) => SourceReader;
  readonly onAnswer: (answer: SourceAnswer) => void;
  readonly now: () => number;
  /** For how long a poll may run; default {@link SOURCE_POLL_MS}. */
  readonly pollMs?: number;
  /** From 0 to 1: spreads polls that began together. */
  readonly random?: () => number;
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

export class SourcePollers {
  readonly #options: PollersOptions;
  readonly #pollers = new Map<number, Poller>();
  readonly #turns = new PollTurns();

  constructor(options: PollersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pollers.size;
  }

  /** @param gone ids of rules that are no more */
  change(set: readonly SourceRule[], gone: readonly number[]): void {
    for (const id of gone) {
      this.#pollers.get(id)?.close();
      this.#pollers.delete(id);
    }
    for (const rule of set) {
      const poller = new Poller(rule, this.#options, this.#turns);
      this.#pollers.set(rule.id, poller);
      void poller.poll();
    }
  }
}

class Poller {
  readonly #rule: SourceRule;
  readonly #options: PollersOptions;
  readonly #turns: PollTurns;
  readonly #reader: SourceReader;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #polls = 0;
  #isPolling = false;
  #isPushed = false;
  #polledAtMs = -Infinity;

  constructor(rule: SourceRule, options: PollersOptions, turns: PollTurns) {
    this.#rule = rule;
    this.#options = options;
    this.#turns = turns;
    this.#reader = options.open(rule);
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#reader.close();
  }

  async poll(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#isPolling) return;
    this.#isPolling = true;
    const end = await this.#turns.take(this.#rule.of);
    this.#isPushed = false;
    this.#polledAtMs = performance.now();
    try {
      if (!this.#closing.signal.aborted) await this.#ask();
    } finally {
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
    const { costMs = 0 } = this.#reader;
    if (this.#isPushed) return this.#again(PUSH_SPACING_MS - (performance.now() - this.#polledAtMs));
    const { intervalMs } = this.#rule.source;
    const pauseMs = Math.min(intervalMs * 2 ** this.#failures, Math.max(intervalMs, LONGEST_PAUSE_MS));
    const spread = this.#polls++ === 0 ? 0.5 + random() / 2 : 1;
    const dueMs = this.#polledAtMs + Math.max(pauseMs * spread, costMs * COST_FACTOR) - performance.now();
    this.#again(Math.min(dueMs, this.#reader.nextInMs?.() ?? Infinity));
  }

  #pushed(): void {
    if (this.#closing.signal.aborted || this.#isPushed) return;
    this.#isPushed = true;
    if (!this.#isPolling) this.#again(PUSH_SPACING_MS - (performance.now() - this.#polledAtMs));
  }

  #again(inMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.poll(), Math.max(0, inMs));
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
