/**
 * The end of a pod, without a lost call. It begins with the kubelet's preStop call to `/drain`. Where a container has
 * a preStop of its own, it may begin with SIGTERM. Whichever is first counts, and both wait for the same drain.
 *   1. Say so (`draining` on NATS) and refuse what proxies send: they have, or get, another pod.
 *   2. Serve on what runs and waits, and direct callers that arrive still: Kubernetes removes this pod from
 *      its Services only now, concurrently. Open WebSockets get a close frame, so their clients come back.
 *   3. Over when nothing is left, but not before SETTLE_MS; in any case when the grace period is. SIGTERM reaches a
 *      sidecar beside the app together with the app. So after the drain it stays until the app's port is closed and
 *      its own lines are empty, within the same grace period. An app with a preStop of its own may serve direct
 *      callers for a while yet. A sidecar that is restarted alone must not wait: its app stays.
 *
 * A drain is not for good. A pod that ends gets SIGTERM within its grace period; one that did not is not ending, and
 * takes calls again.
 *
 * Room `sidecar/life`: From ready to drained, and what is announced.
 * Comes in: SIGTERM, hooks, /drain.
 * Goes out: ready and draining messages.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Admission } from '../limits/admission.ts';
import type { InFlight } from '../limits/in-flight.ts';
import type { Stats } from '../stats.ts';

/**
 * How long even an idle pod stays, by default. A proxy that had chosen it has sent its call by then: NATS delivers in 1–5 ms, a
 * connect within the cluster takes 1 ms, a busy event loop 50 ms. An idle pod may take 2 s to end, of which the
 * user's process needs its part.
 */
const SETTLE_MS = 300;

/** What the webhook takes off the pod's grace period for the time of a drain, and a moment for the kubelet. */
const AFTER_DRAIN_MS = 3_000;

export interface PodDrainOptions {
  readonly admission: Admission;
  readonly inFlight: InFlight;
  readonly stats: Stats;
  readonly drainMs: number;
  /** How long even an idle pod stays; default {@link SETTLE_MS}. Longer where a Service leads callers to the app. */
  readonly settleMs?: number;
  readonly log: Log;
  /** Opens admission once the app is ready; for a drain that is taken back. */
  readonly reopen: () => Promise<void>;
  /** Whether to wait for the app's end after SIGTERM; `if-told`: when {@link Drain.appEndsToo} was called. */
  readonly outliveApp?: OutliveApp;
  /** Resolves when nobody listens on the app's port, or on abort. */
  readonly appGone?: (signal: AbortSignal) => Promise<void>;
}

export type OutliveApp = 'no' | 'if-told' | 'yes';

/** What a drain means to one that was made after it: the announcer, tunnels, jobs, events. */
export interface DrainFollower {
  /** The drain begins. */
  begin(): void;
  /** Time is up, or nothing is left: what could not be finished is given back. */
  end?(): void;
  /** The grace period is over and no SIGTERM came: the pod lives on, and is opened when this is done. */
  comeBack?(): Promise<void>;
}

export class Drain {
  readonly #options: PodDrainOptions;
  readonly #followers: DrainFollower[] = [];
  #running: Promise<void> | undefined;
  #ending: Promise<void> | undefined;
  #deadline = Infinity;
  #isAppEnding = false;
  readonly #sigterm = new AbortController();

  constructor(options: PodDrainOptions) {
    this.#options = options;
  }

  /** Each is told in the order of following; one that comes while it drains is told at once. */
  follow(follower: DrainFollower): void {
    this.#followers.push(follower);
    if (this.isDraining) follower.begin();
  }

  get isDraining(): boolean {
    return this.#running !== undefined;
  }

  /** Milliseconds until the end; undefined before the drain. */
  get leftMs(): number | undefined {
    return this.isDraining ? Math.max(0, this.#deadline - performance.now()) : undefined;
  }

  /** Begins the drain, or joins the one under way; resolves when it is over. */
  run(): Promise<void> {
    this.#running ??= this.#drain();
    return this.#running;
  }

  /** The hook of a container of the app has come too: the pod ends, and not only the sidecar. */
  appEndsToo(): Promise<void> {
    this.#isAppEnding = true;
    return this.run();
  }

  /** For SIGTERM: drains, and resolves when the process may exit. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#sigterm.abort();
    await this.run();
    const { admission, inFlight, outliveApp = 'no', appGone } = this.#options;
    const mustWait = outliveApp === 'yes' || (outliveApp === 'if-told' && this.#isAppEnding);
    const isOver = new AbortController();
    const deadline = sleep(this.leftMs ?? 0, isOver.signal);
    if (mustWait) await Promise.race([appGone?.(isOver.signal), deadline]);
    admission.close(); // a call that comes now, or waits for another try, is told so
    await Promise.race([inFlight.idle(), deadline]);
    isOver.abort();
    this.#endFollowers();
  }

  async #drain(): Promise<void> {
    const { admission, inFlight, stats, drainMs, log } = this.#options;
    const begun = performance.now();
    this.#deadline = begun + drainMs;
    stats.drainSeconds = 0;
    log.info({ open: inFlight.count }, 'draining');
    admission.beginDrain();
    for (const follower of this.#followers) follower.begin();
    const isOver = new AbortController();
    const deadline = sleep(drainMs, isOver.signal).then(() => 'deadline' as const);
    const done = this.#allDone(isOver.signal).then(() => 'done' as const);
    const how = await Promise.race([done, deadline]);
    isOver.abort();
    if (how === 'deadline') {
      admission.close();
      this.#endFollowers();
    }
    stats.drainSeconds = (performance.now() - begun) / 1_000;
    log.info({ how, seconds: stats.drainSeconds, open: inFlight.count }, 'drained');
    void this.#comeBack(begun + drainMs + AFTER_DRAIN_MS - performance.now());
  }

  async #comeBack(afterMs: number): Promise<void> {
    const { admission, reopen, log } = this.#options;
    await sleep(afterMs, this.#sigterm.signal);
    if (this.#ending) return;
    this.#running = undefined;
    this.#deadline = Infinity;
    this.#isAppEnding = false;
    log.warn('drained, but not ended within the grace period: takes calls again');
    await Promise.all(this.#followers.map((follower) => follower.comeBack?.()));
    admission.reset();
    await reopen();
  }

  #endFollowers(): void {
    for (const follower of this.#followers) follower.end?.();
  }

  /** Nothing left at the end of the settling time, and at no moment of waiting for what came during it. */
  async #allDone(signal: AbortSignal): Promise<void> {
    await sleep(this.#options.settleMs ?? SETTLE_MS, signal);
    await this.#options.inFlight.idle();
  }
}
