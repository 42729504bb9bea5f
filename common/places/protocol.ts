/**
 * What a proxy and a sidecar send each other on a place line. It is one connection per proxy and pod, open only while
 * calls wait, beside the calls themselves. It is an HTTP upgrade on the sidecar's admin port, so an older sidecar
 * answers 404 and nothing reaches the app. Each message is one line: a word, a space, and the rest.
 *
 * From the proxy: `waiting <n>` (callers in its line for this function) and `back <id>` (a place it does not need).
 * Also `share <json>`, a ShareMessage for a sidecar that cannot hear the scaler yet. From the sidecar: `place <id>`
 * (a place is held for this proxy for HOLD_MS), `state <json>` (a ReadyMessage), `trouble <text>` (why its app takes
 * no calls yet). An unknown word is ignored, so that either side may be newer.
 *
 * Room `common/places`: Messages between proxy and sidecar about free places.
 * Comes in: lines of text.
 * Goes out: typed messages.
 */

/** The value of `Upgrade`. */
export const PLACES_PROTOCOL = 'slimfaas-places';
export const PLACES_PATH = '/places';

/** How long a granted place waits for its call. A hop takes 1 ms, a busy event loop 50 ms. */
export const HOLD_MS = 500;
/** A proxy repeats its count that often while calls wait. */
export const WAITING_REPEAT_MS = 1_000;
/** A count that was not repeated for that long is no longer true. */
export const STALE_MS = 3_000;

/** A state message is the longest: names of at most 253 characters, an address, and room for newer fields. */
const MOST_LINE_BYTES = 4_096;

/** `namespace/pod`, the value of `slimfaas-for`. A pod has one function, so this names the function too. */
export function podIdentity(namespace: string, pod: string): string {
  return `${namespace}/${pod}`;
}

export interface LineReader {
  push(chunk: Buffer): void;
}

/** @param onTooLong called once for a line that no version of ours writes; nothing is read after it */
export function createLineReader(
  onMessage: (word: string, rest: string) => void,
  onTooLong: () => void,
): LineReader {
  let held = '';
  let isBroken = false;
  return {
    push(chunk) {
      if (isBroken) return;
      const lines = (held + chunk.toString('utf8')).split('\n');
      held = lines.pop() ?? '';
      isBroken = held.length > MOST_LINE_BYTES || lines.some((line) => line.length > MOST_LINE_BYTES);
      if (isBroken) return onTooLong();
      for (const line of lines) {
        const space = line.indexOf(' ');
        if (space > 0) onMessage(line.slice(0, space), line.slice(space + 1));
      }
    },
  };
}

/** A count that a proxy may tell: 0 to 999,999,999. Undefined for anything else. */
export function parseCount(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
