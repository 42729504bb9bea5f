import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FunctionStatus } from '../../../proxy/status/function-status.ts';
import { StatusBoard, type StatusView } from '../../../proxy/status/board.ts';
import { FakeClock } from '../support/fake-clock.ts';

function world(maxBytes = 1_000_000) {
  const clock = new FakeClock();
  const seen = { renderings: [] as StatusView[], name: 'fib', tookMs: 0 };
  const statuses = (view: StatusView): FunctionStatus[] => {
    seen.renderings.push(view);
    clock.advance(seen.tookMs);
    return [{ Name: seen.name } as FunctionStatus];
  };
  return { clock, seen, board: new StatusBoard({ clock, statuses, maxBytes }) };
}

test('a rendering is used again for ten times as long as it took', () => {
  const { clock, seen, board } = world();
  seen.tookMs = 20;
  const first = board.read('all');
  clock.advance(179);
  seen.name = 'other';
  assert.equal(board.read('all'), first);
  clock.advance(1);
  assert.match(board.read('all').json.toString(), /other/);
  assert.deepEqual(seen.renderings, ['all', 'all']);
});

test('callers from inside and from outside have a rendering each; one that is equal is the same object', () => {
  const { seen, board } = world();
  const first = board.read('all');
  assert.equal(board.read('all'), first);
  assert.notEqual(board.read('public'), first);
  assert.deepEqual(seen.renderings, ['all', 'all', 'public']);
  assert.equal(first.json.toString(), '[{"Name":"fib"}]');
  assert.equal(first.event.toString(), 'data: [{"Name":"fib"}]\n\n');
});

test('while unread answers hold too much nothing new is made; one function’s status is refused', () => {
  const { seen, board } = world(30);
  const releases: (() => void)[] = [];
  let held = board.read('all');
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    releases.push(board.hold(held.event), board.hold(held.event));
    seen.name = name;
    held = board.read('all');
  }
  assert.ok(board.heldBytes <= 30 + held.event.length, `${board.heldBytes} bytes`);
  assert.throws(() => board.readOne({ Name: 'x' } as FunctionStatus), { code: 'too-busy', status: 503 });
  for (const release of [...releases, ...releases]) release();
  assert.equal(board.heldBytes, 0);
  assert.match(board.read('all').json.toString(), /"e"/);
  assert.match(board.readOne({ Name: 'x' } as FunctionStatus).toString(), /"x"/);
});
