/** What is told of Services that cannot wake their function. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceFaults } from '../../../scaler/faults/service-faults.ts';

test('who has other ones now is named, and who has none any more', () => {
  const faults = new ServiceFaults(true);
  assert.deepEqual(faults.replace(new Map([['a/x', ['headless']]])), ['a/x']);
  assert.deepEqual(faults.replace(new Map([['a/x', ['headless']]])), []);
  assert.deepEqual(faults.of('a/x', { services: 'wake' }), [
    { reason: 'ServiceNotServed', message: 'headless' },
  ]);
  assert.deepEqual(faults.replace(new Map([['a/y', ['of UDP']]])), ['a/x', 'a/y']);
  assert.deepEqual(faults.of('a/x', { services: 'wake' }), []);
});

test('an installation that does not allow it says so to those who ask', () => {
  const faults = new ServiceFaults(false);
  assert.deepEqual(faults.of('a/x', { services: 'ignore' }), []);
  assert.match(faults.of('a/x', { services: 'wake' })[0]?.message ?? '', /--services-wake=false/);
});
