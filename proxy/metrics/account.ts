/**
 * The numbers of one function in this proxy: Prometheus children looked up once instead of at each call, and
 * the counts for the next activity report.
 */
import type { ActivityMessage } from '../../common/bus/messages.ts';
import { CallTally } from '../../common/call/call-counts.ts';
import { TimeAverage } from '../../common/runtime/time-average.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Clock } from '../clock.ts';
import { NO_SERIES, type FunctionSeries, type ProxyMetrics } from './proxy-metrics.ts';
import type { CallEnd } from './call-end.ts';

export class Account {
  readonly #metrics: ProxyMetrics;
  readonly #id: FunctionId;
  /** For the comparison of a canary with the function itself. */
  readonly #calls = new CallTally();
  readonly #running: TimeAverage;
  #series: FunctionSeries | undefined;
  #isClosed = false;
  #runningNow = 0;
  #started = 0;
  #finished = 0;
  #failed = 0;
  /** Something happened since the last report. */
  #hasChanged = false;

  constructor(id: FunctionId, metrics: ProxyMetrics, clock: Clock) {
    this.#id = id;
    this.#metrics = metrics;
    this.#running = new TimeAverage(() => clock.now());
  }

  get inFlight(): number {
    return this.#runningNow;
  }

  /** Made at the first call: a function that nobody calls costs no series. */
  get series(): FunctionSeries {
    // A call may outlive its function: it must not make the series again, which nobody would ever remove.
    if (this.#isClosed) return NO_SERIES;
    return (this.#series ??= this.#metrics.series(this.#id));
  }

  /**
   * A call got a place.
   * @param now of the proxy's clock, here and below: read once by the call for all who want it
   */
  started(now: number, waitedMs: number, wasCold: boolean): void {
    this.#hasChanged = true;
    this.#started++;
    this.#running.set(++this.#runningNow, now);
    this.series.placed(waitedMs / 1000, wasCold);
  }

  /** A connection that came by a Service goes to a pod: no call of ours, but the function is in use. */
  opened(now: number): void {
    this.#hasChanged = true;
    this.#running.set(++this.#runningNow, now);
  }

  /** A call that had a place has none any more. */
  left(now: number): void {
    this.#hasChanged = true;
    this.#running.set(--this.#runningNow, now);
  }

  /** A call is over, whether it ever had a place or not. */
  ended(end: CallEnd, tookMs: number): void {
    this.#hasChanged = true;
    if (end.kind === 'status') this.#finished++;
    if (end.kind === 'status' && end.status >= 500) this.#failed++;
    this.series.ended(end, tookMs / 1000);
  }

  /** A call that a pod has run, or was to run, is over. @param ranMs from its last place on; undefined: it had none */
  judged(end: CallEnd, ranMs: number | undefined): void {
    if (end.kind === 'status') this.#calls.note(end.status >= 500, ranMs);
  }

  /** The window since the last one; undefined when there is nothing to say. @param isPart of a function that is split */
  report(pod: string, waiting: number, isPart = false): ActivityMessage | undefined {
    const { average, windowMs } = this.#running.read();
    const calls = this.#calls.take();
    if (!this.#hasChanged && this.#runningNow === 0 && waiting === 0) return undefined;
    const message: ActivityMessage = {
      source: 'proxy',
      pod,
      running: average,
      runningNow: this.#runningNow,
      waiting,
      started: this.#started,
      finished: this.#finished,
      failed: this.#failed,
      windowMs,
      ...(isPart && calls !== undefined && { calls }),
    };
    this.#started = this.#finished = this.#failed = 0;
    this.#hasChanged = false;
    return message;
  }

  close(): void {
    this.#isClosed = true;
    this.#series?.remove();
    this.#series = undefined;
  }
}
