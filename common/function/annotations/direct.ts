/** The annotations about connections that reach the app past proxy and sidecar. */
import { isIP } from 'node:net';
import { MAX_ITEMS } from './bounds.ts';
import { ANNOTATION } from './names.ts';
import type { AnnotationSource } from './source.ts';
import { commaItems, int, word } from './values.ts';
import type { DirectSpec } from '../spec.ts';

/** In doubt a function stays awake, but it sleeps in the end. */
const IDLE_TIMEOUTS = 12;
const IDLE_SECONDS_MIN = 600;

interface DirectDefaults {
  /** By it the default of direct-idle is set. */
  readonly idleTimeoutSeconds: number;
  /** Its own Services wake it: then calls by them keep it awake, too. */
  readonly isWokenByServices: boolean;
}

export function readDirect(
  source: AnnotationSource,
  { idleTimeoutSeconds, isWokenByServices }: DirectDefaults,
): DirectSpec {
  const idleSeconds = Math.max(IDLE_SECONDS_MIN, IDLE_TIMEOUTS * idleTimeoutSeconds);
  const byDefault = isWokenByServices ? 'count' : 'ignore';
  return {
    isCounted: source.read(ANNOTATION.directTraffic, word('count', 'ignore'), byDefault) === 'count',
    ignored: readIgnored(source),
    idleSeconds: source.read(ANNOTATION.directIdle, int(1), idleSeconds),
  };
}

function readIgnored(source: AnnotationSource): readonly string[] {
  const found = source.find(ANNOTATION.directIgnore);
  if (!found) return [];
  const items = commaItems(found.text);
  const problem = 'not allowed; allowed: ports (:9100), addresses (10.1.2.3) and ranges (10.1.0.0/16)';
  for (const item of items.filter((item) => !isIgnorable(item))) found.report(item, problem, 'ignored');
  const good = items.filter(isIgnorable);
  if (good.length <= MAX_ITEMS) return good;
  found.report('', `${good.length} items; allowed: at most ${MAX_ITEMS}`, `the first ${MAX_ITEMS}`);
  return good.slice(0, MAX_ITEMS);
}

function isIgnorable(item: string): boolean {
  if (item.startsWith(':')) return /^:\d{1,5}$/.test(item) && isBetween(item.slice(1), 1, 65_535);
  const [address = '', prefix, ...more] = item.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0 || address.includes('%')) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && isBetween(prefix, 0, family === 4 ? 32 : 128));
}

function isBetween(text: string, min: number, max: number): boolean {
  return Number(text) >= min && Number(text) <= max;
}
