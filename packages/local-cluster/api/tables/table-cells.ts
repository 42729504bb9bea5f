/** What a table's columns are made of. */
import type { KubeObject } from '../objects/types.ts';

export interface Column {
  readonly name: string;
  /** 1: with `-o wide` only. */
  readonly priority?: 0 | 1;
  readonly type?: 'string' | 'integer';
  readonly cell: (object: KubeObject, nowMs: number) => string | number;
}

/** As client-go's HumanDuration: two units while they matter, one after. */
export function age(since: string | undefined, nowMs: number): string {
  if (!since) return '<unknown>';
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(since)) / 1000));
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  if (days < 8) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
  return `${days}d`;
}
