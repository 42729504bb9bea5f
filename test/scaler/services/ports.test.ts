/** The proxies' ports for Services. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortRange } from '../../../scaler/services/ports.ts';

test('a port that was given back comes last', () => {
  const range = new PortRange(10, 12);
  assert.deepEqual([range.give('a'), range.give('b')], [10, 11]);
  range.release(10, 'a');
  assert.deepEqual([range.give('c'), range.give('d'), range.give('e')], [12, 10, undefined]);
  assert.equal(range.free, 0);
});

test('what slices hold is theirs, and the next one comes after it', () => {
  const range = new PortRange(10, 20);
  assert.equal(range.claim(15, 'a'), true);
  assert.equal(range.claim(15, 'a'), true);
  assert.equal(range.claim(15, 'b'), false);
  assert.equal(range.claim(9, 'a'), false);
  assert.equal(range.give('b'), 16);
  range.release(15, 'b');
  assert.equal(range.claim(15, 'b'), false, 'only its owner gives it back');
});

test('a range that ends before it begins is refused', () => {
  assert.throws(() => new PortRange(2, 1), RangeError);
});
