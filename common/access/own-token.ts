/** The token by which other parts know this one: from a file that the kubelet writes again before it ends. */
import { readFileSync } from 'node:fs';
import { describeError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { TOKEN_HEADER } from './token.ts';

/** Headers that show it; none where there is no token. Never throws. */
export type OwnToken = () => Readonly<Record<string, string>>;

const NONE: Readonly<Record<string, string>> = {};
/** A token lives an hour, and the kubelet writes the next one when 80 % of that are over. */
const TOKEN_KEPT_MS = 60_000;

/** @param file empty: there is none. It is small and in memory, so it is read at once. */
export function ownTokenFrom(file: string, log: Log, now = () => performance.now()): OwnToken {
  let headers = NONE;
  let untilMs = file === '' ? Infinity : -Infinity;
  return () => {
    if (now() < untilMs) return headers;
    untilMs = now() + TOKEN_KEPT_MS;
    try {
      headers = { [TOKEN_HEADER]: `Bearer ${readFileSync(file, 'utf8').trim()}` };
    } catch (error) {
      log.warn({ file, error: describeError(error) }, 'the token of this part cannot be read');
    }
    return headers;
  };
}
