/**
 * Sees what reaches the user's containers past proxy and sidecar, so that a function in direct use is not put to
 * sleep. The kernel's count of accepted connections is read each second, or more often beside frequent probes. The tables
 * of sockets are read less often: they tell which connections are open, and which of the accepted ones came from the pod
 * itself. They take no more than 0.05 % of a CPU, unless the idle timeout is short. See docs/decisions/direct-traffic.md.
 *
 * Room `sidecar/direct`: Use of the app past proxy and sidecar.
 * Comes in: the kernel's tables of sockets.
 * Goes out: open direct connections, and how many were opened.
 */
import type { Log } from '../../common/runtime/log.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { DirectConnections } from './connections.ts';
import { parseIgnored } from './ignored.ts';
import { ProbeBudget, type ProbePeriod } from './probe-budget.ts';
import { ProbeLevel } from './probe-level.ts';
import { acceptedSoFar, readTable, type Row } from './proc-net.ts';

const COUNT_TICK_MS = 1_000;
/** Part of the time that reading the tables may take: a look that takes 8 ms of CPU is the only one within 16 s. */
const CPU_SHARE = 0.000_5;
/** Counted in longest pauses between two looks: within so long single calls beside probes are found. */
const WINDOW_PAUSES = 2.5;
/** A cold start has better use for the CPU. */
const FIRST_LOOK_MS = 3_000;
/** Longer than a probe may take by its timeout. */
const AFTER_PROBE_MS = 1_000;

export interface DirectOptions {
  readonly probes: readonly ProbePeriod[];
  readonly ignored: readonly string[];
  readonly counts: DirectCounts;
  readonly idleMs: number;
  /** Between two looks, whatever they cost. */
  readonly longestPauseMs: number;
  readonly ownPorts: readonly number[];
  /** The pod's own address. */
  readonly podIp: string;
  /** Connections that the sidecar's own servers have accepted since the start. */
  readonly accepted: () => number;
  /** Whether a call or a job runs, or has run since the last question: then nobody needs to know. */
  readonly isBusy: () => boolean;
  readonly log: Log;
  /** Where the kernel's tables are. */
  readonly dir?: string;
}

/** What was found, for reports and metrics. */
export interface DirectCounts {
  /** Connections from outside that are open and in use. */
  open: number;
  /** Opened since the start, beyond what probes explain. */
  openedTotal: number;
}

export class DirectTraffic {
  readonly #options: DirectOptions;
  readonly #dir: string;
  readonly #budget: ProbeBudget;
  readonly #level: ProbeLevel;
  readonly #connections: DirectConnections;
  readonly #probeMs: number;
  #timer: NodeJS.Timeout | undefined;
  #before: { readonly kernel: number; readonly own: number } | undefined;
  /** Accepted by the app since the last look. */
  #pending = 0;
  /** Connections among them that are no probes, as far as the level tells. */
  #found = 0;
  #nextLookMs = 0;
  #isLooking = false;
  #isOver = false;
  /** The looks so far are paid for until then. */
  #paidUntilMs = 0;
  #isSecond = false;

  constructor(options: DirectOptions, nowMs = performance.now()) {
    this.#options = options;
    this.#dir = options.dir ?? '/proc/self/net';
    this.#probeMs =
      Math.max(1, ...options.probes.map(({ timeoutSeconds }) => timeoutSeconds)) * 1_000 + AFTER_PROBE_MS;
    this.#nextLookMs = nowMs + FIRST_LOOK_MS;
    this.#budget = new ProbeBudget(options.probes, nowMs);
    this.#level = new ProbeLevel(options.probes, WINDOW_PAUSES * options.longestPauseMs, nowMs);
    this.#connections = new DirectConnections({
      ownPorts: new Set(options.ownPorts),
      ignored: parseIgnored(options.ignored),
      probeMs: this.#probeMs,
      idleMs: options.idleMs,
    });
  }

  /** @returns why nothing can be counted here; undefined: it counts from now on */
  start(): string | undefined {
    const why = whyNot(this.#options.podIp, this.#dir);
    if (why !== undefined) return why;
    this.#timer = setInterval(() => void this.tick(performance.now()), this.#level.sampleMs).unref();
    return undefined;
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }

  /** @param nowMs of a clock that never goes back */
  async tick(nowMs: number): Promise<void> {
    this.#countAccepted(nowMs);
    if (this.#isLooking || this.#isOver || nowMs < this.#nextLookMs) return;
    this.#isLooking = true;
    try {
      await this.#look(nowMs);
    } catch (error) {
      this.#options.log.warn({ error: describeError(error) }, 'direct traffic is not counted any more');
      this.stop();
      this.#options.counts.open = 0;
    } finally {
      this.#isLooking = false;
    }
  }

  /** In use by calls or jobs, the connections to the app are the sidecar's own: they are left out. */
  #countAccepted(nowMs: number): void {
    const kernel = acceptedSoFar(`${this.#dir}/snmp`);
    if (kernel === undefined) return;
    const own = this.#options.accepted();
    const { kernel: kernelBefore, own: ownBefore } = this.#before ?? { kernel, own };
    this.#before = { kernel, own };
    const opened = kernel - kernelBefore - (own - ownBefore);
    if (this.#options.isBusy()) {
      this.#pending = 0;
      this.#found = 0;
      this.#level.startAgain(nowMs);
    } else {
      this.#pending += opened;
      this.#found += this.#level.sample(opened, nowMs);
    }
  }

  /**
   * @param explained those of the connections since the last look that are known now to be no calls
   * @returns how many of the others are somebody's calls
   */
  #unexplained(explained: number, nowMs: number): number {
    const beyondBudget = this.#budget.take(this.#pending - explained, nowMs);
    const calls = Math.max(0, this.#found - explained);
    this.#level.forgive(Math.max(0, explained - this.#found));
    this.#pending = 0;
    this.#found = 0;
    return this.#level.canTell ? calls : beyondBudget;
  }

  async #look(nowMs: number): Promise<void> {
    const rows: Row[] = [];
    const cpu = process.cpuUsage();
    const take = (row: Row): void => void rows.push(row);
    const isWhole = [await readTable(`${this.#dir}/tcp`, take), await this.#readTcp6(take)].every(Boolean);
    if (this.#isOver) return;
    const look = this.#connections.look(rows, isWhole, nowMs);
    const { counts } = this.#options;
    counts.open = look.open;
    counts.openedTotal += this.#unexplained(look.explained, nowMs);
    const { user, system } = process.cpuUsage(cpu);
    this.#planNext(nowMs, (user + system) / 1_000, look.isAnyNew);
  }

  /** What is new is looked at once more as soon as it cannot be a probe any more; later looks wait for both. */
  #planNext(nowMs: number, costMs: number, isAnyNew: boolean): void {
    const { longestPauseMs } = this.#options;
    const pauseMs = Math.min(longestPauseMs, Math.max(COUNT_TICK_MS, costMs / CPU_SHARE));
    const untilMs = Math.max(this.#paidUntilMs, nowMs) + pauseMs;
    this.#paidUntilMs = Math.min(untilMs, nowMs + longestPauseMs);
    const isSecondSoon = isAnyNew && !this.#isSecond;
    const wantedMs = isSecondSoon ? nowMs + this.#probeMs + 1 : Infinity;
    // The timer may fire a little early.
    this.#nextLookMs = Math.min(wantedMs, this.#paidUntilMs) - COUNT_TICK_MS / 10;
    this.#isSecond = isSecondSoon;
  }

  /** A machine without IPv6 has no such table. */
  async #readTcp6(take: (row: Row) => void): Promise<boolean> {
    try {
      return await readTable(`${this.#dir}/tcp6`, take);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
      throw error;
    }
  }
}

function whyNot(podIp: string, dir: string): string | undefined {
  if (podIp.startsWith('127.'))
    return 'the pod shares its network with others: its address is a loopback one';
  if (acceptedSoFar(`${dir}/snmp`) === undefined) return `${dir}/snmp does not tell accepted connections`;
  return undefined;
}
