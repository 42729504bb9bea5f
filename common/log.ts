/**
 * One logger for all parts: pino, JSON lines on stdout, `part` and `pod` on every line. Levels follow pino's.
 */
import { pino } from 'pino';
import type { Flag } from './flags.ts';

export type Log = Pick<import('pino').Logger, 'debug' | 'info' | 'warn' | 'error'>;

export const LOG_LEVEL_FLAG = {
  type: 'string',
  default: 'info',
  choices: ['debug', 'info', 'warn', 'error', 'silent'],
  group: 'Observability',
  describe: 'lowest level that is logged',
} as const satisfies Flag;

export function createLog(part: string, level: string, pod: string | undefined): Log {
  return pino({
    level,
    base: pod === undefined ? { part } : { part, pod },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}

/** For tests and for code that has nobody to tell. */
export const silentLog: Log = pino({ level: 'silent' });
