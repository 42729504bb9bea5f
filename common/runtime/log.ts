/**
 * What a log is to all parts, its levels, and the sidecar's own. That one writes the same JSON lines as pino, without
 * pino, which loads worker threads and more: 2 MiB and some milliseconds per pod. It gives up pino's speed (a sidecar
 * logs a few lines a minute) and its serializers.
 */
import type { Flag } from './flags.ts';

export interface LogFunction {
  (message: string): void;
  (fields: object, message?: string): void;
}

/** A part of pino's own interface. */
export interface Log {
  readonly debug: LogFunction;
  readonly info: LogFunction;
  readonly warn: LogFunction;
  readonly error: LogFunction;
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof LEVELS)[number];

export const LOG_LEVEL_FLAG = {
  type: 'string',
  default: 'info',
  choices: [...LEVELS, 'silent'],
  group: 'Observability',
  describe: 'lowest level that is logged',
} as const satisfies Flag;

const silence: LogFunction = () => undefined;

/** For tests and for code that has nobody to tell. */
export const silentLog: Log = Object.freeze({ debug: silence, info: silence, warn: silence, error: silence });

/**
 * @param level of {@link LOG_LEVEL_FLAG}'s choices
 * @param base stands on every line
 * @param write takes whole lines, each with its end
 */
export function createLineLog(level: string, base: object, write: (line: string) => void): Log {
  const lowest = LEVELS.indexOf(level as Level);
  const at = (name: Level): LogFunction => {
    if (lowest < 0 || LEVELS.indexOf(name) < lowest) return silence;
    return (first: string | object, message?: string) => {
      const fields =
        typeof first === 'string' ? { msg: first } : { ...first, ...(message && { msg: message }) };
      write(lineOf({ level: name, time: new Date().toISOString(), ...base, ...fields }));
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** What cannot be written (a circle, a big integer) must not take the line with it, nor the process. */
function lineOf(fields: Readonly<Record<string, unknown>>): string {
  try {
    return `${JSON.stringify(fields)}\n`;
  } catch {
    const texts = Object.entries(fields).map(([name, value]) => [name, String(value)]);
    return `${JSON.stringify(Object.fromEntries(texts))}\n`;
  }
}
