import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActivityMessage } from '../../../common/bus/messages.ts';
import { OtherProxies } from '../../../proxy/status/other-proxies.ts';

function report(pod: string, waiting: number, runningNow: number): ActivityMessage {
  const counts = { running: runningNow, started: 0, finished: 0, failed: 0, windowMs: 1_000 };
  return { source: 'proxy', pod, waiting, runningNow, ...counts };
}

test('the last report of each proxy counts, for 3.5 s', () => {
  const others = new OtherProxies();
  assert.deepEqual(others.sum(0), { waiting: 0, running: 0 });
  others.heard(report('a', 1, 2), 0);
  others.heard(report('b', 10, 20), 1_000);
  others.heard(report('a', 3, 4), 1_000);
  assert.deepEqual(others.sum(1_000), { waiting: 13, running: 24 });
  others.heard(report('b', 0, 0), 2_000);
  assert.deepEqual(others.sum(4_500), { waiting: 3, running: 4 });
  assert.deepEqual(others.sum(4_501), { waiting: 0, running: 0 });
});

test('of more than 64 the one heard longest ago is forgotten', () => {
  const others = new OtherProxies();
  for (let i = 0; i < 100; i++) others.heard(report(`p${i}`, 1, 0), i);
  assert.equal(others.sum(100).waiting, 64);
});
