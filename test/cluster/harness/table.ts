/**
 * A reporter of the runner: one table for people and for the docs, of the cases, how long they took and the figures that
 * they noted with `t.diagnostic()`. The runner says to which case a figure belongs by file, line and column.
 */
import { basename } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

interface Row {
  readonly name: string;
  readonly file: string;
  readonly result: string;
  readonly seconds: string;
  readonly notes: string[];
}

export default async function* table(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const rows: Row[] = [];
  // Cases of a loop share their place; a figure follows the end of its case at once.
  const lastAt = new Map<string, Row>();
  for await (const { type, data } of events) {
    if (type === 'test:diagnostic') lastAt.get(placeOf(data))?.notes.push(data.message);
    if ((type !== 'test:pass' && type !== 'test:fail') || data.details.type === 'suite') continue;
    const skip = data.skip === undefined ? undefined : `not run: ${String(data.skip)}`;
    const row: Row = {
      name: data.name,
      file: basename(data.file ?? '', '.test.ts'),
      result: skip === undefined ? (type === 'test:pass' ? 'passed' : 'FAILED') : 'not run',
      seconds: (data.details.duration_ms / 1_000).toFixed(1),
      notes: skip === undefined ? [] : [skip],
    };
    rows.push(row);
    lastAt.set(placeOf(data), row);
  }
  yield '| file | case | result | seconds | what it saw |\n|---|---|---|---|---|\n';
  for (const { file, name, result, seconds, notes } of rows)
    yield `| ${[file, name, result, seconds, notes.join('; ')].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
}

function placeOf({ file, line, column }: { file?: string; line?: number; column?: number }): string {
  return `${file}:${line}:${column}`;
}
