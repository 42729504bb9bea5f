/**
 * Tells the scaler what this pod is doing. It reports each second while anything runs, waits or happened, and every
 * 10 s when idle, so that silence means missing data and never idleness. It reports at once where the splitting of
 * shares waits for it: when our limit changes, and when running falls to a limit that was lowered. It also reports at
 * once when the app begins or ends to take no calls.
 */
import type { Breaker } from '../limits/breaker.ts';
import { encodeMessage, type ActivityMessage } from '../../common/bus/messages.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import type { Stats } from '../stats.ts';

const REPORT_TICK_MS = 1_000;
const IDLE_TICKS = 10;
/** As many as one message may tell; after a time without NATS there may be more. */
const OPENED_MAX = 100_000;

export interface SidecarReportOptions {
  readonly pod: string;
  /** When this run of the sidecar began; see common/bus/announcement-order.ts. */
  readonly start: number;
  readonly subject: string;
  readonly nats: NatsLink;
  readonly breaker: Breaker;
  readonly stats: Stats;
  /** Jobs that run. */
  readonly jobs: () => number;
}

export class Reporter {
  readonly #options: SidecarReportOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #unwatch: () => void;
  #idleTicks = 0;
  /** True from the moment the limit was lowered below running until running has fallen to it. */
  #isAboveLimit = false;
  #trouble: string | undefined;
  /** It has changed since the last report. */
  #hasTroubleChanged = false;
  /** Direct connections, as told last. */
  #directTold = { open: 0, openedTotal: 0 };

  constructor(options: SidecarReportOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), REPORT_TICK_MS);
    this.#unwatch = options.nats.onStatus((isConnected) => {
      if (isConnected) this.send();
    });
  }

  /** Call after every change of the limit. */
  limitChanged(): void {
    const { breaker } = this.#options;
    this.#isAboveLimit = breaker.running > breaker.limit;
    this.send();
  }

  /** Call after every release: cheap, and says so when the overhang of a lowered limit is gone. */
  released(): void {
    if (!this.#isAboveLimit) return;
    const { breaker } = this.#options;
    if (breaker.running > breaker.limit) return;
    this.#isAboveLimit = false;
    this.send();
  }

  /** Why the app takes no calls; undefined: it does. Its first cause and its end are told at once, another within a second. */
  tellTrouble(why: string | undefined): void {
    const isTurn = (why === undefined) !== (this.#trouble === undefined);
    this.#trouble = why;
    this.#hasTroubleChanged = true;
    if (isTurn) this.send();
  }

  send(): void {
    if (!this.#options.nats.isConnected) return; // the counts of this window go into the next report
    this.#publish(this.#read());
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#unwatch();
    this.send();
  }

  #tick(): void {
    if (!this.#options.nats.isConnected) return;
    const message = this.#read();
    const { running, runningNow, waiting, started, finished, direct = 0, directOpened = 0 } = message;
    const isBusy = running + runningNow + waiting + started + finished + direct + directOpened > 0;
    const hasChanged = this.#hasTroubleChanged || direct !== this.#directTold.open;
    this.#idleTicks = isBusy ? 0 : this.#idleTicks + 1;
    if (isBusy || hasChanged || this.#idleTicks % IDLE_TICKS === 0) this.#publish(message);
  }

  #read(): ActivityMessage {
    const { pod, start, breaker, stats, jobs } = this.#options;
    const { average, windowMs } = breaker.readWindow();
    return {
      source: 'sidecar',
      pod,
      running: average,
      runningNow: breaker.running,
      waiting: breaker.waiting,
      ...stats.readWindow(),
      windowMs,
      limit: breaker.limit,
      jobs: jobs(),
      start,
      ...this.#direct(),
      ...(this.#trouble === undefined ? {} : { trouble: this.#trouble }),
    };
  }

  /** Nothing to say: nothing is said, as by older sidecars. */
  #direct(): Pick<ActivityMessage, 'direct' | 'directOpened'> {
    const { open, openedTotal } = this.#options.stats.direct;
    const directOpened = Math.min(OPENED_MAX, openedTotal - this.#directTold.openedTotal);
    return open + directOpened === 0 ? {} : { direct: open, directOpened };
  }

  #publish(message: ActivityMessage): void {
    this.#hasTroubleChanged = false;
    this.#directTold = { ...this.#options.stats.direct };
    this.#options.nats.publish(this.#options.subject, encodeMessage(message));
  }
}
