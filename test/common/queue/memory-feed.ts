/** One source of the queue in memory: who asked gets what is due, in order; what is not finished comes again. */
import type { Delivery, TakeOptions, Taker } from '../../../common/queue/queue.ts';
import type { Kept } from './memory-shelf.ts';

interface Item {
  readonly kept: Kept;
  deliveries: number;
  dueAtMs: number;
}

interface Open {
  credits: number;
  readonly options: TakeOptions;
}

export class Feed {
  readonly madeMs = Date.now();
  readonly #name: string;
  readonly #ackWaitMs: number;
  readonly #onFinish: (seq: number) => void;
  readonly #maxOut: number;
  readonly #items = new Map<number, Item>();
  readonly #takers = new Set<Open>();
  #delivered = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param maxOut that may be delivered and not finished; 1 is strict order */
  constructor(name: string, ackWaitMs: number, onFinish: (seq: number) => void, maxOut = Infinity) {
    this.#name = name;
    this.#ackWaitMs = ackWaitMs;
    this.#onFinish = onFinish;
    this.#maxOut = maxOut;
  }

  /** Not delivered yet. */
  get waiting(): number {
    return [...this.#items.values()].filter(({ deliveries }) => deliveries === 0).length;
  }

  put(kept: Kept): void {
    this.#items.set(kept.seq, { kept, deliveries: 0, dueAtMs: 0 });
    this.#pump();
  }

  drop(seq: number): void {
    this.#items.delete(seq);
    this.#pump();
  }

  finish(seq: number): void {
    if (this.#items.has(seq)) this.#onFinish(seq);
    this.drop(seq);
  }

  retryLater(seq: number, delayMs: number): void {
    const item = this.#items.get(seq);
    if (item) item.dueAtMs = performance.now() + delayMs;
    this.#pump();
  }

  take(options: TakeOptions): Taker {
    const open: Open = { credits: 0, options };
    this.#takers.add(open);
    return {
      get credits() {
        return open.credits;
      },
      ask: (entries) => {
        open.credits += entries;
        this.#pump();
      },
      stop: () => {
        this.#takers.delete(open);
        clearTimeout(this.#timer);
      },
    };
  }

  #pump(): void {
    clearTimeout(this.#timer);
    for (const taker of this.#takers)
      for (const item of this.#items.values())
        if (taker.credits > 0 && this.#isDue(item)) this.#deliver(item, taker);
    const isAsked = [...this.#takers].some(({ credits }) => credits > 0);
    const due = Math.min(...[...this.#items.values()].map(({ dueAtMs }) => dueAtMs));
    if (isAsked && due < Infinity)
      this.#timer = setTimeout(() => this.#pump(), Math.max(1, due - performance.now()));
  }

  #isDue(item: Item): boolean {
    const out = [...this.#items.values()].filter((other) => other !== item && other.deliveries > 0).length;
    return item.dueAtMs <= performance.now() && out < this.#maxOut;
  }

  #deliver(item: Item, taker: Open): void {
    const { kept } = item;
    taker.credits -= 1;
    item.deliveries += 1;
    item.dueAtMs = performance.now() + this.#ackWaitMs;
    const delivery: Delivery = {
      data: kept.data,
      seq: kept.seq,
      deliveries: item.deliveries,
      pending: this.waiting,
      storedAtMs: kept.storedAtMs,
      order: ++this.#delivered,
      isVoid: kept.data.length === 0,
      receipt: this.#name,
      finish: () => this.finish(kept.seq),
      retryLater: (delayMs) => this.retryLater(kept.seq, delayMs),
      working: () => this.retryLater(kept.seq, this.#ackWaitMs),
    };
    setImmediate(() => taker.options.onDelivery(delivery));
  }
}
