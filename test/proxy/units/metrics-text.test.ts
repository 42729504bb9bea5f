import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricsText } from '../../../proxy/metrics/metrics-text.ts';
import type { StatusView } from '../../../proxy/status/board.ts';
import { FakeClock } from '../support/fake-clock.ts';

function world(tookMs: number) {
  const clock = new FakeClock();
  const seen: StatusView[] = [];
  const render = async (view: StatusView): Promise<string> => {
    seen.push(view);
    clock.advance(tookMs);
    return `${view} ${seen.length}`;
  };
  const text = new MetricsText({ clock, render });
  return { clock, seen, read: async (view: StatusView) => (await text.read(view)).toString() };
}

test('what takes long is used again for ten times as long, for those who see the same', async () => {
  const { clock, seen, read } = world(100);
  assert.deepEqual(await Promise.all([read('all'), read('all'), read('public')]), [
    'all 1',
    'all 1',
    'public 2',
  ]);
  clock.advance(999);
  assert.equal(await read('public'), 'public 2');
  clock.advance(1);
  assert.equal(await read('public'), 'public 3');
  assert.equal(seen.length, 3);
});

test('what is quick is made again each time; one that failed is not kept', async () => {
  const { read } = world(19);
  assert.deepEqual([await read('all'), await read('all')], ['all 1', 'all 2']);
  let tries = 0;
  const failing = new MetricsText({
    clock: new FakeClock(),
    render: () => (++tries === 1 ? Promise.reject(new Error('no')) : Promise.resolve('yes')),
  });
  await assert.rejects(failing.read('all'), /no/);
  assert.equal((await failing.read('all')).toString(), 'yes');
});
