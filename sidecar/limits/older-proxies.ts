/**
 * Calls of proxies of the previous version, which tell no count. While other proxies' callers wait, no place is ever
 * free for a call that only tries. So a few such calls stand here as one more member of the turns, each for a short
 * time. For the minutes of an upgrade.
 */
import type { Place } from './breaker.ts';
import type { PlaceGivers, Waiting } from './place-lines.ts';

/** At once; the next is refused as before. */
const MOST_CALLS = 8;
/** Then it is refused: its proxy may have another pod. */
const LONGEST_MS = 1_000;

interface OlderCall {
  readonly give: (place: Place) => void;
}

export class OlderProxies implements Waiting {
  readonly #lines: PlaceGivers;
  readonly #calls = new Set<OlderCall>();

  constructor(lines: PlaceGivers) {
    this.#lines = lines;
  }

  get mayWait(): boolean {
    return this.#lines.waiting > this.#calls.size && this.#calls.size < MOST_CALLS;
  }

  /** A place in its turn; undefined: none in time, or the caller left. */
  wait(left: AbortSignal): Promise<Place | undefined> {
    return new Promise((resolve) => {
      const settle = (place: Place | undefined): void => {
        clearTimeout(timer);
        left.removeEventListener('abort', leave);
        this.#calls.delete(call);
        resolve(place);
      };
      const leave = (): void => {
        settle(undefined);
        this.#tell();
      };
      const call: OlderCall = { give: settle };
      const timer = setTimeout(leave, LONGEST_MS);
      left.addEventListener('abort', leave, { once: true });
      this.#calls.add(call);
      this.#tell();
    });
  }

  give(place: Place): void {
    for (const call of this.#calls) return call.give(place);
    place.release();
  }

  #tell(): void {
    this.#lines.tell(this, this.#calls.size);
  }
}
