/** The pod's places as jobs and events take them: among the calls', counted as open until they end, told to proxies. */
import type { Place } from '../limits/breaker.ts';
import type { SidecarContext } from '../context.ts';
import type { Shares } from '../limits/shares.ts';
import type { JobPlaces } from './consumer.ts';

export interface PlacesDeps {
  readonly shares: Pick<Shares, 'isKnown'>;
  readonly context: Pick<SidecarContext, 'admission' | 'inFlight' | 'reporter'>;
}

/** With a free place and a caller that was turned away for want of one: proxies are told at most this often. */
const TELL_MS = 50;

/** @param most that may be taken here at once, beside the other kinds of work */
export function placesOf({ shares, context }: PlacesDeps, most = Infinity): JobPlaces {
  const { admission, inFlight, reporter } = context;
  let toldAt = -Infinity;
  let taken = 0;
  const released = (): void => {
    reporter.released();
    const now = performance.now();
    if (!admission.fairness.doCallsWait || now - toldAt < TELL_MS) return;
    toldAt = now;
    reporter.send(); // a proxy that was refused because of this job would otherwise look again only later
  };
  const held = (place: Place): Place => {
    const endInFlight = inFlight.begin();
    taken += 1;
    let isHeld = true;
    return {
      arrival: place.arrival,
      release() {
        if (!isHeld) return;
        isHeld = false;
        taken -= 1;
        place.release();
        released();
        endInFlight();
      },
    };
  };
  return {
    get room() {
      if (!shares.isKnown) return 0; // a new pod's share of jobs is zero until it hears
      return Math.min(admission.jobRoom, most - taken);
    },
    tryEnter() {
      const place = admission.tryEnterJob();
      return place && held(place);
    },
    enter: async (signal, timeoutMs) => held(await admission.enterJob(signal, timeoutMs)),
    onRoom: (listener) => admission.onRoom(listener),
  };
}
