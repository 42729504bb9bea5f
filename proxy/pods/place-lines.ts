/**
 * The place lines of one function. While its callers wait, each pod is told how many they are. A place that a pod
 * grants goes to the first in line. Lines open when somebody waits and close some seconds after nobody does.
 *
 * They are a help, not a condition. A pod without one (an older sidecar, a policy on its admin port, too many pods)
 * is asked by the throttler's timer as before.
 */
import { decodeReady, encodeMessage, type ReadyMessage } from '../../common/bus/messages.ts';
import { podIdentity, WAITING_REPEAT_MS } from '../../common/places/protocol.ts';
import type { Clock } from '../clock.ts';
import type { Endpoint } from './endpoint.ts';
import {
  openPlaceLine,
  type LineEnd,
  type LineHandlers,
  type LineTarget,
  type PlaceLine,
} from './place-line.ts';
import type { PodGroup } from './pod-group.ts';

/** Lines of one function: beyond it pods are probed. */
const MOST_LINES = 64;
/** A burst of arrivals is one message. */
const GATHER_MS = 10;
/** Nobody has waited for that long: lines close. */
const LINE_IDLE_MS = 5_000;
/** A pod that starts is asked that often: the time a caller loses at most. */
const REDIAL_MIN_MS = 25;
const REDIAL_MAX_MS = 1_000;
/** Many pods that start at once are each asked less often: 250 dials a second and function at most. */
const REDIAL_OF_EACH_MS = 4;
/** Dials at the shortest pause: for 2 s, in which nearly every pod starts. */
const QUICK_DIALS = 80;
/** An older sidecar will not learn it; its pod may be replaced under the same object only by a restart. */
const UNSUPPORTED_MS = 30_000;

export type OpenLine = (target: LineTarget, events: LineHandlers) => PlaceLine;

/** Lines of all functions of this proxy. */
export interface LineBudget {
  open: number;
  readonly most: number;
}

export interface PlaceLinesOptions {
  readonly pods: Pick<PodGroup, 'all' | 'offer' | 'refresh'>;
  readonly clock: Clock;
  readonly budget: LineBudget;
  /** A pod's own report of its state. */
  readonly onState: (endpoint: Endpoint, message: ReadyMessage, data: Uint8Array) => void;
  /** For tests. */
  readonly open?: OpenLine;
}

interface Line {
  readonly endpoint: Endpoint;
  connection: PlaceLine | undefined;
  isOpen: boolean;
  /** The count that the sidecar has of us, as far as we know. */
  told: number;
  share: number | undefined;
  dials: number;
  cancelRedial: (() => void) | undefined;
}

export class PlaceLines {
  readonly #options: PlaceLinesOptions;
  readonly #lines = new Map<Endpoint, Line>();
  #waiting = 0;
  /** The count in the last message to all. */
  #told = 0;
  #waitedMs = -Infinity;
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(options: PlaceLinesOptions) {
    this.#options = options;
  }

  /** After every change of those who wait or of the pods. */
  update(waiting: number): void {
    this.#waiting = waiting;
    if (waiting === 0) return; // the next look tells it
    this.#waitedMs = this.#options.clock.now();
    // Told less than half of them, pods may run out of our callers before they hear of more.
    if (this.#lines.size > 0 && waiting >= this.#told * 2) this.#tellAll();
    this.#lookIn(GATHER_MS);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const line of this.#lines.values()) this.#close(line);
  }

  #lookIn(ms: number): void {
    const atMs = this.#options.clock.now() + ms;
    if (this.#timer && this.#timer.atMs <= atMs) return;
    this.#timer?.cancel();
    this.#timer = { atMs, cancel: this.#options.clock.after(ms, () => this.#look()) };
  }

  #look(): void {
    this.#timer = undefined;
    for (const line of this.#lines.values()) if (!isCandidate(line.endpoint)) this.#close(line);
    if (this.#waiting > 0) this.#openMissing();
    else if (this.#options.clock.now() - this.#waitedMs >= LINE_IDLE_MS) return this.stop();
    this.#tellAll();
    if (this.#lines.size > 0) this.#lookIn(WAITING_REPEAT_MS);
  }

  #openMissing(): void {
    const { pods, budget } = this.#options;
    for (const endpoint of pods.all) {
      if (this.#lines.size >= MOST_LINES || budget.open >= budget.most) return;
      if (this.#lines.has(endpoint) || !isCandidate(endpoint)) continue;
      const line: Line = {
        endpoint,
        connection: undefined,
        isOpen: false,
        told: 0,
        share: undefined,
        dials: 0,
        cancelRedial: undefined,
      };
      budget.open++;
      this.#lines.set(endpoint, line);
      this.#dial(line);
    }
  }

  #dial(line: Line): void {
    const { view } = line.endpoint;
    line.dials++;
    const open = this.#options.open ?? openPlaceLine;
    line.connection = open(
      {
        host: line.endpoint.host,
        identity: podIdentity(view.namespace, view.name),
        proof: line.endpoint.proof,
      },
      {
        opened: () => this.#opened(line),
        place: (id) => this.#offer(line, id),
        state: (data) => this.#heard(line, data),
        trouble: (why) => line.endpoint.appFailed(why),
        ended: (how) => this.#ended(line, how),
      },
    );
  }

  #opened(line: Line): void {
    line.isOpen = true;
    line.dials = 0;
    line.endpoint.queueBy(() => this.#waiting > 0);
    this.#tell(line);
  }

  #offer(line: Line, id: string): void {
    line.told = Math.max(0, line.told - 1);
    if (line.told === 0) this.#told = 0; // the next who waits is told at once
    if (!this.#options.pods.offer(line.endpoint, id)) line.connection?.send(`back ${id}`);
    if (this.#waiting >= line.told * 2) this.#tell(line);
  }

  #heard(line: Line, data: Uint8Array): void {
    const { view } = line.endpoint;
    let message: ReadyMessage;
    try {
      message = decodeReady(data);
    } catch {
      return; // a version that says it otherwise; Kubernetes and NATS will tell
    }
    if (message.pod !== view.name || message.ip !== line.endpoint.host) return;
    this.#options.onState(line.endpoint, message, data);
    this.#tell(line);
  }

  #ended(line: Line, how: LineEnd): void {
    const { endpoint } = line;
    this.#forget(line);
    if (how === 'elsewhere') {
      endpoint.movedAway();
      this.#options.pods.refresh();
      return this.#drop(line);
    }
    line.cancelRedial = this.#options.clock.after(this.#pauseAfter(line, how), () => {
      line.cancelRedial = undefined;
      if (this.#waiting > 0 && isCandidate(endpoint)) this.#dial(line);
      else this.#drop(line);
    });
  }

  #pauseAfter(line: Line, how: LineEnd): number {
    if (how === 'unsupported') return UNSUPPORTED_MS;
    // A pod that runs and cannot be reached there is no start to wait for.
    const doublings = line.endpoint.isReady ? line.dials : Math.max(0, line.dials - QUICK_DIALS);
    const shortest = Math.max(REDIAL_MIN_MS, this.#lines.size * REDIAL_OF_EACH_MS);
    return Math.min(REDIAL_MAX_MS, shortest * 2 ** Math.min(doublings, 10));
  }

  #tellAll(): void {
    this.#told = this.#waiting;
    for (const line of this.#lines.values()) this.#tell(line);
  }

  /** Also the same count again: what is not repeated is not believed for long. */
  #tell(line: Line): void {
    if (!line.isOpen) return;
    // A pod that Kubernetes does not call ready is only listened to.
    const count = line.endpoint.isReady ? this.#waiting : 0;
    if (count > 0 || line.told > 0) line.connection?.send(`waiting ${count}`);
    line.told = count;
    const { share } = line.endpoint;
    if (share === undefined || share === line.share) return;
    line.share = share;
    const message = encodeMessage({ limit: share, shares: { [line.endpoint.view.name]: share } });
    line.connection?.send(`share ${Buffer.from(message).toString('utf8')}`);
  }

  #close(line: Line): void {
    line.connection?.close();
    this.#forget(line);
    this.#drop(line);
  }

  #forget(line: Line): void {
    line.connection = undefined;
    line.isOpen = false;
    line.told = 0;
    line.share = undefined;
    line.endpoint.queueBy(undefined);
  }

  #drop(line: Line): void {
    line.cancelRedial?.();
    if (this.#lines.delete(line.endpoint)) this.#options.budget.open--;
  }
}

function isCandidate(endpoint: Endpoint): boolean {
  const { state, view, host, hasSidecar } = endpoint;
  // One that drains and is not deleted may take its drain back, and says so there too.
  const isOver = state.kind === 'gone' || view.isTerminating;
  return hasSidecar && host !== '' && !isOver;
}
