/**
 * What sidecars and proxies report, kept per function: when it was last used, what waits, what runs in which
 * pod. Times are the scaler's own, at receipt: clocks of other machines are never compared. Bounded: one report
 * a living pod, one number per proxy that has something to report; a proxy that fell silent is forgotten.
 *
 * Only sidecars' reports are load. A proxy's calls in flight are the same calls that a sidecar counts.
 */
import type { ActivityMessage, WakeMessage } from '../../common/bus/messages.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';

/** A proxy repeats itself each second; after three it has nothing to say, or is gone. */
const PROXY_FRESH_MS = 3_000;
/** A busy sidecar reports each second: an older report says what ran at its end, but nothing of the time since. */
const LOAD_FRESH_MS = 1_500;

/** Far more than a function has proxies; a stranger in the cluster may say any name. */
const PROXIES_MAX = 200;

/** A pod reports before its watch event by milliseconds: more than a few at once are not ours. */
const MAX_EARLY_REPORTS = 100;

export interface PodReport {
  readonly atMs: number;
  /** Averaged over the report's window. */
  readonly running: number;
  readonly runningNow: number;
  readonly waiting: number;
  readonly startedPerSecond: number;
  readonly limit: number | undefined;
  /** Jobs that run; 0 of a sidecar that does not tell. */
  readonly jobs: number;
  /** Connections past proxy and sidecar that are in use; 0 of a sidecar that does not tell. */
  readonly direct: number;
  /** Why its app takes no calls, and since when; undefined: it does, or an older sidecar does not tell. */
  readonly trouble: { readonly why: string; readonly sinceMs: number } | undefined;
}

/** What one proxy said last. */
interface ProxyReport {
  readonly atMs: number;
  readonly waiting: number;
  /** What pods had at that time, see {@link FunctionActivity.callsInPods}. */
  readonly inPods: number;
}

/** What runs and what began, over all pods, at this moment. */
export interface LoadSample {
  readonly running: number;
  readonly startedPerSecond: number;
}

/** What may be asked of it. Whoever has this view writes nothing. */
export type ActivityView = Readonly<
  Pick<
    FunctionActivity,
    | 'lastActiveMs'
    | 'wakeAtMs'
    | 'waitingInProxies'
    | 'waitingForPods'
    | 'waitingInPods'
    | 'runningNow'
    | 'directNow'
    | 'jobsNow'
    | 'load'
  >
> & { readonly pods: ReadonlyMap<string, PodReport> };

export class FunctionActivity {
  /** 0: never in use, as far as this process knows. */
  lastActiveMs = 0;
  /** When somebody last asked for it to be up, until it is. */
  wakeAtMs: number | undefined;
  readonly pods = new Map<string, PodReport>();
  readonly #proxies = new Map<string, ProxyReport>();
  /** Reports of pods that no watch has shown: these may come in a moment, or be gone for good. Bounded, never load. */
  readonly #early = new Map<string, PodReport>();

  onWake(message: WakeMessage, nowMs: number): void {
    this.lastActiveMs = nowMs;
    this.wakeAtMs = nowMs;
    this.#hearProxy(message.from, message.waiting, nowMs);
  }

  /**
   * @param isKnownPod the watch knows the reporting pod as this function's
   * @returns whether its app has begun or ended to take no calls
   */
  onReport(message: ActivityMessage, nowMs: number, isKnownPod = true): boolean {
    const { source, pod, running, runningNow, waiting, started, finished, windowMs } = message;
    const { direct = 0, directOpened = 0 } = message;
    if (running + runningNow + waiting + started + finished + direct + directOpened > 0)
      this.lastActiveMs = nowMs;
    if (source === 'proxy') {
      this.#hearProxy(pod, waiting, nowMs);
      return false;
    }
    const startedPerSecond = windowMs > 0 ? (started * 1_000) / windowMs : 0;
    const { limit, jobs = 0 } = message;
    const before = this.pods.get(pod)?.trouble;
    const why = message.trouble;
    const trouble = why === undefined ? undefined : { why, sinceMs: before?.sinceMs ?? nowMs };
    const report = {
      atMs: nowMs,
      running,
      runningNow,
      waiting,
      startedPerSecond,
      limit,
      jobs,
      direct,
      trouble,
    };
    if (isKnownPod) this.pods.set(pod, report);
    else this.#keepEarly(pod, report);
    return (before === undefined) !== (trouble === undefined);
  }

  #hearProxy(name: string, waiting: number, nowMs: number): void {
    if (!this.#proxies.has(name) && this.#proxies.size >= PROXIES_MAX) this.forgetSilent(nowMs);
    if (this.#proxies.has(name) || this.#proxies.size < PROXIES_MAX)
      this.#proxies.set(name, { atMs: nowMs, waiting, inPods: this.callsInPods(nowMs) });
  }

  /** The oldest makes room: every pod that goes may leave a last report behind, and they must not pile up. */
  #keepEarly(pod: string, report: PodReport): void {
    this.#early.delete(pod);
    this.#early.set(pod, report);
    const [oldest] = this.#early.keys();
    if (this.#early.size > MAX_EARLY_REPORTS && oldest !== undefined) this.#early.delete(oldest);
  }

  get earlyReports(): number {
    return this.#early.size;
  }

  /** The watch has shown the pod: what it said before counts from now on. */
  onPodKnown(pod: string): void {
    const early = this.#early.get(pod);
    if (!early) return;
    this.#early.delete(pod);
    if (!this.pods.has(pod)) this.pods.set(pod, early);
  }

  /**
   * Callers that wait in proxies for a place or for a pod.
   * @param afterMs what was heard at that time or before does not count
   */
  waitingInProxies(nowMs: number, afterMs = -Infinity): number {
    let sum = 0;
    for (const { atMs, waiting } of this.#proxies.values())
      if (nowMs - atMs <= PROXY_FRESH_MS && atMs > afterMs) sum += waiting;
    return sum;
  }

  /**
   * The same callers, without those that pods may have taken since. A proxy says once per second what waits, and a
   * pod may say before that what it has taken. One caller would count twice, and want a second pod. So whatever the
   * pods have more than at the proxy's report counts as taken from those that waited. It is a lower bound, for a
   * second at most: then the proxy says its number again.
   */
  waitingForPods(nowMs: number): number {
    const waiting = this.waitingInProxies(nowMs);
    if (waiting === 0) return 0;
    const inPods = this.callsInPods(nowMs);
    let taken = 0;
    // A proxy without such callers falls silent, and what it last saw may be seconds old.
    for (const report of this.#proxies.values())
      if (report.waiting > 0 && nowMs - report.atMs <= PROXY_FRESH_MS)
        taken = Math.max(taken, inPods - report.inPods);
    return Math.max(0, waiting - taken);
  }

  /** Calls that pods run, averaged where that is known, or hold in their queues. */
  callsInPods(nowMs: number): number {
    return (this.load(nowMs)?.running ?? 0) + this.waitingInPods();
  }

  waitingInPods(): number {
    let sum = 0;
    for (const { waiting } of this.pods.values()) sum += waiting;
    return sum;
  }

  runningNow(): number {
    let sum = 0;
    for (const { runningNow } of this.pods.values()) sum += runningNow;
    return sum;
  }

  jobsNow(): number {
    let sum = 0;
    for (const { jobs } of this.pods.values()) sum += jobs;
    return sum;
  }

  directNow(): number {
    let sum = 0;
    for (const { direct } of this.pods.values()) sum += direct;
    return sum;
  }

  /** Undefined when no sidecar has ever reported: not known is not zero. */
  load(nowMs: number): LoadSample | undefined {
    if (this.pods.size === 0) return undefined;
    let running = 0;
    let startedPerSecond = 0;
    for (const report of this.pods.values()) {
      const isFresh = nowMs - report.atMs <= LOAD_FRESH_MS;
      running += isFresh ? report.running : report.runningNow;
      if (isFresh) startedPerSecond += report.startedPerSecond;
    }
    return { running, startedPerSecond };
  }

  /** Proxies that said nothing for a while: they have nothing to say, or are gone. */
  forgetSilent(nowMs: number): void {
    if (this.#proxies.size === 0) return;
    for (const [name, { atMs }] of this.#proxies)
      if (nowMs - atMs > PROXY_FRESH_MS) this.#proxies.delete(name);
  }

  forgetPod(pod: string): void {
    this.pods.delete(pod);
  }
}

/** The last use of any function of a namespace: what wakes those that start with any. */
export class LastUse {
  readonly #byNamespace = new Map<string, { readonly atMs: number; readonly name: string }>();

  note({ namespace, name }: FunctionId, atMs: number): void {
    this.#byNamespace.set(namespace, { atMs, name });
  }

  in(namespace: string): { readonly atMs: number; readonly name: string } | undefined {
    return this.#byNamespace.get(namespace);
  }
}
