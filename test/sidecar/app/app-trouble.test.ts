import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppTrouble } from '../../../sidecar/app/app-trouble.ts';
import { recordingLog } from '../../helpers/recording-log.ts';

function world() {
  const clock = { ms: 0 };
  const told: (string | undefined)[] = [];
  const { log, lines } = recordingLog();
  const trouble = new AppTrouble({ log, tell: (why) => told.push(why), now: () => clock.ms });
  return { clock, told, lines, trouble };
}

test('a start of a second is no trouble; then proxies hear each new cause once, and its end', () => {
  const { clock, told, trouble } = world();
  for (const at of [0, 50, 999]) {
    clock.ms = at;
    trouble.failed('port 1 refuses connections: ECONNREFUSED');
  }
  assert.deepEqual(told, []);
  assert.equal(trouble.why, 'port 1 refuses connections: ECONNREFUSED', 'a refusal says it at once');
  clock.ms = 1_000;
  for (const why of ['a', 'a', 'b', 'b']) trouble.failed(why);
  trouble.passed();
  trouble.passed();
  assert.deepEqual(told, ['a', 'b', undefined]);
  assert.equal(trouble.why, undefined);
});

test('the log hears of it after 5 s, 30 s, and every five minutes', () => {
  const { clock, lines, trouble } = world();
  for (clock.ms = 0; clock.ms <= 1_000_000; clock.ms += 100) trouble.failed('no');
  const waited = lines.map(({ fields }) => fields['forSeconds']);
  assert.deepEqual(waited, [5, 30, 300, 600, 900]);
});
