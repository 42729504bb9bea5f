/** A log that a test reads: what people are told is part of what is promised. */
import type { Log } from '../../common/runtime/log.ts';
import { waitFor } from './wait.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RecordingLog {
  readonly log: Log;
  readonly lines: readonly LogLine[];
  /** The first line with this message, when it comes. */
  line(message: string): Promise<LogLine>;
}

export function recordingLog(): RecordingLog {
  const lines: LogLine[] = [];
  const writer =
    (level: LogLine['level']) =>
    (first: unknown, second?: string): void => {
      const hasFields = typeof first === 'object' && first !== null;
      const fields = hasFields ? (first as LogLine['fields']) : {};
      lines.push({ level, fields, message: hasFields ? (second ?? '') : String(first) });
    };
  const levels = ['debug', 'info', 'warn', 'error'] as const;
  const log = Object.fromEntries(levels.map((level) => [level, writer(level)])) as unknown as Log;
  return {
    log,
    lines,
    line: (message) =>
      waitFor(() => lines.find((line) => line.message === message), { what: `"${message}" is logged` }),
  };
}
