/** Stopping in order, sleeping with an end, and backing off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBackoff } from '../../../common/runtime/backoff.ts';
import { describeError, ReasonError } from '../../../common/runtime/errors.ts';
import { sleep, StopStack } from '../../../common/runtime/lifecycle.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { recordingLog } from '../../helpers/recording-log.ts';

test('a stack stops last first, each once, and a failing step does not keep the others', async () => {
  const order: string[] = [];
  const stack = new StopStack(silentLog);
  stack.add('first', () => order.push('first'));
  stack.add('failing', () => {
    throw new Error('no');
  });
  stack.add('last', async () => order.push('last'));
  await Promise.all([stack.stop(), stack.stop()]);
  assert.deepEqual(order, ['last', 'first']);
});

test('a step that does not end is left behind after its time, with a word in the log', async () => {
  const order: string[] = [];
  const { log, lines } = recordingLog();
  const stack = new StopStack(log, 20);
  stack.add('first', () => order.push('first'));
  stack.add('stuck', () => new Promise(() => undefined));
  await stack.stop();
  assert.deepEqual(order, ['first']);
  assert.deepEqual(
    lines.map(({ message, fields }) => [message, fields['step']]),
    [['stopping takes too long; going on', 'stuck']],
  );
});

test('sleep ends at once when its signal aborts', async () => {
  const controller = new AbortController();
  const slept = sleep(60_000, controller.signal);
  controller.abort();
  await slept;
  await sleep(60_000, controller.signal);
});

test('backoff doubles up to its maximum and starts again after a success', () => {
  const backoff = createBackoff({ minMs: 100, maxMs: 400 }, () => 1);
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next(), backoff.next()], [100, 200, 400, 400]);
  backoff.reset();
  assert.equal(backoff.next(), 100);
  assert.equal(createBackoff({ minMs: 100, maxMs: 400 }, () => 0).next(), 50);
  assert.throws(() => createBackoff({ minMs: 0, maxMs: 1 }), RangeError);
});

test('an error is described with its causes', () => {
  const cause = Object.assign(new Error(''), { code: 'ECONNREFUSED' });
  assert.equal(describeError(new Error('connect failed', { cause })), 'connect failed: ECONNREFUSED');
  assert.equal(describeError('text'), 'text');
  assert.equal(new ReasonError('queue-full', 'full').status, 429);
});
