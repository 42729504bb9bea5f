/**
 * Places for the callers that wait in proxies: each proxy tells how many wait, and free places are granted by turns
 * over those counts (turns.ts). No proxy has to try its luck, and none is ahead because its own call has just ended.
 * Direct callers, who wait in the pod's own line, are one more member of the turns.
 *
 * It gives up order between callers of two proxies: within a proxy first come is first served, between proxies the
 * counts decide. A proxy of an older version tells no count; one call of it at a time may wait here for its turn.
 */
import type { Place } from './breaker.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { STALE_MS } from '../../common/places/protocol.ts';
import type { Admission } from './admission.ts';
import { HeldPlaces } from './held-places.ts';
import { Turns } from './turns.ts';

/** Somebody who waits for places: a proxy's line, or the calls of older proxies. */
export interface Waiting {
  /** It is this proxy's turn. */
  give(place: Place): void;
}

/** A proxy at the other end. */
export interface LineOwner {
  send(message: string): void;
}

export interface PlaceGiversOptions {
  readonly admission: Pick<Admission, 'tryEnter' | 'onRoom' | 'shareLine' | 'phase' | 'breaker'>;
  readonly log: Log;
  readonly now?: () => number;
}

/** The pod's own line of direct callers, as one more member of the turns. The breaker serves it. */
const DIRECT: Waiting = { give: (place) => place.release() };

/** Where places are free and jobs are let in first (jobs/fairness.ts), the next look; nothing else would tell. */
const FREE_PLACE_RECHECK_MS = 20;

export class PlaceGivers {
  readonly #admission: PlaceGiversOptions['admission'];
  readonly #log: Log;
  readonly #now: () => number;
  readonly #turns = new Turns<Waiting>(STALE_MS);
  readonly #held: HeldPlaces<ProxyLine>;
  readonly #lines = new Set<ProxyLine>();
  readonly #unlisten: () => void;
  #timer: NodeJS.Timeout | undefined;
  #isServing = false;
  #state: string | undefined;
  #trouble: string | undefined;
  /** Granted since the start, and of those never used by their proxy. */
  granted = 0;
  expired = 0;

  constructor({ admission, log, now = () => performance.now() }: PlaceGiversOptions) {
    this.#admission = admission;
    this.#log = log;
    this.#now = now;
    this.#held = new HeldPlaces((line) => this.#expire(line));
    this.#unlisten = admission.onRoom(() => this.#serve());
    admission.shareLine((waiting) => this.#takeBeforeDirect(waiting));
  }

  get size(): number {
    return this.#lines.size;
  }

  /** Callers of proxies, as far as we know; above 0 no place is free for one who did not wait. */
  get waiting(): number {
    return this.#turns.waiting;
  }

  /** A proxy opened its line. It is told what was said last. */
  open(owner: LineOwner): ProxyLine {
    const line = new ProxyLine(owner, {
      hold: (place) => this.#held.hold(line, place),
      told: (count) => this.tell(line, count),
      back: (id) => this.#held.giveBack(line, id),
      closed: () => this.#close(line),
    });
    this.#lines.add(line);
    if (this.#state !== undefined) owner.send(this.#state);
    if (this.#trouble !== undefined) owner.send(this.#trouble);
    return line;
  }

  /** How many of that member's callers wait now. */
  tell(member: Waiting, count: number): void {
    this.#turns.tell(member, count, this.#now());
    this.#serve();
  }

  leave(member: Waiting): void {
    this.#turns.remove(member);
  }

  /** The place that a call says was granted to its proxy. */
  claim(id: string): Place | undefined {
    return this.#held.claim(id);
  }

  /** @param message an encoded ReadyMessage, for every proxy that listens now or later */
  announce(message: Uint8Array): void {
    this.#state = `state ${Buffer.from(message).toString('utf8')}`;
    for (const { owner } of this.#lines) owner.send(this.#state);
  }

  /** @param why the app takes no calls yet, one line; undefined: it takes them */
  tellTrouble(why: string | undefined): void {
    this.#trouble = why === undefined ? undefined : `trouble ${why}`;
    if (this.#trouble === undefined) return; // its `state` says the rest
    for (const { owner } of this.#lines) owner.send(this.#trouble);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#unlisten();
    for (const line of this.#lines) line.close();
  }

  /** Not entered twice: what a grant sets off may free a place again. */
  #serve(): void {
    if (this.#isServing || this.#turns.waiting === 0) return;
    this.#isServing = true;
    try {
      this.#grantAll();
    } catch (error) {
      this.#log.error({ error: describeError(error) }, 'granting places failed');
    } finally {
      this.#isServing = false;
    }
    if (this.#turns.waiting > 0 && this.#hasIdlePlaces) this.#lookAgain();
  }

  /** A place is free and direct callers wait in the pod's own line: whose turn is it? */
  #takeBeforeDirect(waiting: number): boolean {
    if (this.#turns.waiting === 0) return false;
    const now = this.#now();
    this.#turns.tell(DIRECT, waiting, now);
    const member = this.#turns.next(now);
    this.#turns.tell(DIRECT, 0, now);
    if (!member || member === DIRECT) return false;
    const place = this.#admission.tryEnter();
    if (typeof place === 'string') return false;
    this.granted += 1;
    member.give(place);
    return true;
  }

  #grantAll(): void {
    while (this.#turns.waiting > 0) {
      const place = this.#admission.tryEnter();
      if (typeof place === 'string') return;
      const member = this.#turns.next(this.#now());
      if (!member) return place.release();
      this.granted += 1;
      member.give(place);
    }
  }

  get #hasIdlePlaces(): boolean {
    return this.#admission.phase === 'open' && this.#admission.breaker.free > 0;
  }

  #lookAgain(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#serve();
    }, FREE_PLACE_RECHECK_MS).unref();
  }

  /** Its proxy is slow or gone: its count is not believed until it says one again. */
  #expire(line: ProxyLine): void {
    this.expired += 1;
    this.#turns.tell(line, 0, this.#now());
  }

  #close(line: ProxyLine): void {
    if (!this.#lines.delete(line)) return;
    this.#turns.remove(line);
    this.#held.releaseAll(line);
  }
}

interface LineActions {
  readonly hold: (place: Place) => string;
  readonly told: (count: number) => void;
  readonly back: (id: string) => void;
  readonly closed: () => void;
}

/** One proxy's line. */
export class ProxyLine implements Waiting {
  readonly owner: LineOwner;
  readonly #actions: LineActions;

  constructor(owner: LineOwner, actions: LineActions) {
    this.owner = owner;
    this.#actions = actions;
  }

  give(place: Place): void {
    this.owner.send(`place ${this.#actions.hold(place)}`);
  }

  waiting(count: number): void {
    this.#actions.told(count);
  }

  back(id: string): void {
    this.#actions.back(id);
  }

  /** The proxy has gone: its places are free at once. */
  close(): void {
    this.#actions.closed();
  }
}
