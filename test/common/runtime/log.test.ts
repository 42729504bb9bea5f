/** The sidecar's log: the lines that pino would write. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { createLineLog, silentLog } from '../../../common/runtime/log.ts';

function recorded(level: string) {
  const lines: string[] = [];
  return { lines, log: createLineLog(level, { part: 'sidecar', pod: 'p' }, (line) => void lines.push(line)) };
}

const parse = (line: string | undefined) => JSON.parse(line ?? '') as Record<string, unknown>;

test('a line is what pino makes of the same call, but for the time', () => {
  const theirs: string[] = [];
  const reference = pino(
    {
      base: { part: 'sidecar', pod: 'p' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void theirs.push(line) },
  );
  const { lines, log } = recorded('info');
  for (const each of [reference, log]) {
    each.info('hello');
    each.warn({ port: 15080, how: 'passed' }, 'app ready');
    each.error({ error: 'x\n"y"' });
  }
  const untimed = (line: string) =>
    Object.keys(parse(line)).map((key) => [key, key === 'time' || parse(line)[key]]);
  assert.deepEqual(lines.map(untimed), theirs.map(untimed));
  assert.match(String(parse(lines[0])['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(lines.every((line) => line.endsWith('}\n')));
});

for (const [level, expected] of [
  ['debug', ['debug', 'info', 'warn', 'error']],
  ['warn', ['warn', 'error']],
  ['silent', []],
] as const)
  test(`at ${level} it writes ${expected.join(', ') || 'nothing'}`, () => {
    const { lines, log } = recorded(level);
    for (const name of ['debug', 'info', 'warn', 'error'] as const) log[name]('x');
    assert.deepEqual(
      lines.map((line) => parse(line)['level']),
      expected,
    );
  });

test('what JSON cannot hold is written as text, and the line with it', () => {
  const { lines, log } = recorded('info');
  const circle: Record<string, unknown> = { n: 1n };
  circle['self'] = circle;
  log.info(circle, 'odd');
  assert.deepEqual(
    [parse(lines[0])['msg'], parse(lines[0])['n'], parse(lines[0])['self']],
    ['odd', '1', '[object Object]'],
  );
});

test('silence takes everything', () => {
  silentLog.error({ error: 'x' }, 'y');
  silentLog.info('z');
});
