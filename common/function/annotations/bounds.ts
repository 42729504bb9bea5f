/**
 * How much one workload may write into its annotations. A user that may create a workload may write 256 KiB of them,
 * and every part reads them in the process that serves all tenants. So what is read, kept and shown has a bound
 * here, and a value beyond it becomes a fault. See docs/bounds.md.
 */

/** Characters of one annotation's value; Kubernetes allows 262,144 bytes for all of a workload's together. */
export const MAX_VALUE_LENGTH = 65_536;

/** Arrays and objects within each other. The deepest that means anything to us is 5 (`Behavior`). */
export const MAX_JSON_DEPTH = 16;

/** Items of a list: names, events, triggers, retries. */
export const MAX_ITEMS = 100;

/** Hosts of slimfaas.dev/hosts: every call's Host is looked up among those of all functions. */
export const MAX_HOSTS = 20;

/** Sources of SlimFaas/Scale: each is asked as often as every second. */
export const MAX_SOURCES = 10;

/** `Metadata` of one such source: each poll sends it again. */
export const MAX_METADATA_ENTRIES = 50;
export const MAX_METADATA_BYTES = 4_096;

/** Rules of SlimFaas/PathsStartWithVisibility: kept for each pod too. */
export const MAX_PATH_RULES = 500;

/** Faults of one workload; what is beyond is counted in the last one. */
export const MAX_FAULTS = 30;

/** Unknown properties of one JSON object that are named. */
export const MAX_UNKNOWN = 10;

/**
 * Whether arrays and objects are nested deeper than {@link MAX_JSON_DEPTH}. It looks at the text, because JSON.parse
 * takes any depth, and what walks its result (JSON.stringify among them) overflows the stack.
 */
export function isTooDeep(json: string): boolean {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i);
    if (isInString) {
      if (char === BACKSLASH) i++;
      else if (char === QUOTE) isInString = false;
    } else if (char === QUOTE) isInString = true;
    else if (char === OPEN_ARRAY || char === OPEN_OBJECT) {
      if (++depth > MAX_JSON_DEPTH) return true;
    } else if (char === CLOSE_ARRAY || char === CLOSE_OBJECT) depth--;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
