/** The logger of every part but the sidecar: pino, JSON lines on stdout, `part` and `pod` on every line. */
import { pino } from 'pino';
import type { Log } from '../../common/runtime/log.ts';

export function createLog(part: string, level: string, pod: string | undefined): Log {
  return pino({
    level,
    base: pod === undefined ? { part } : { part, pod },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
