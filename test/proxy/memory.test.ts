/** Callers whom the proxy cannot help leave nothing behind in it. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { heapAfterGc } from '../helpers/heap.ts';
import { waitFor } from '../helpers/wait.ts';
import { callUrl, startCall } from './support/calls.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

/**
 * A call that stays behind holds its request, its answer and its socket: 5 KB and more. The caller's side lives in this
 * process too, and the garbage collector's own noise is some 100 KB.
 */
const MOST_BYTES_A_CALL = 1_500;

/** Rounds of so many calls each, of which the first warms up. */
async function noGrowth(t: TestContext, callsARound: number, round: () => Promise<unknown>): Promise<void> {
  await round();
  const before = await heapAfterGc();
  const rounds = 3;
  for (let n = 0; n < rounds; n++) await round();
  const perCall = ((await heapAfterGc()) - before) / (rounds * callsARound);
  t.diagnostic(`${perCall.toFixed(0)} bytes a call`);
  assert.ok(perCall < MOST_BYTES_A_CALL, `the heap grew by ${perCall.toFixed(0)} bytes with each call`);
}

test('behaviour 12: scale-up impossible: thousands of refused callers, memory flat', async (t) => {
  await using proxy = await startTestProxy(['--cold-start-timeout=1']);
  proxy.addFunction('fib');
  await noGrowth(t, 500, async () => {
    const answers = Array.from({ length: 500 }, () =>
      callUrl(`${proxy.url}/function/fib/`, { body: 'a body' }),
    );
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    assert.deepEqual([...new Set(statuses)], [504]);
  });
});

test('behaviour 13: thousands of callers abandon: memory flat', async (t) => {
  await using proxy = await startTestProxy();
  proxy.addFunction('fib');
  const pod = await proxy.addPod('fib', { limit: 1, run: () => undefined });
  await proxy.readyPods('fib', 1);
  const holder = startCall(`${proxy.url}/function/fib/holder`);
  await waitFor(() => pod.running === 1, { what: 'the only place is taken' });
  const isWaiting = (count: number) => async () => (await statusOf(proxy, 'fib')).Waiting === count;
  await noGrowth(t, 500, async () => {
    const calls = Array.from({ length: 500 }, () => startCall(`${proxy.url}/function/fib/leaver`));
    await waitFor(isWaiting(500), { what: 'they wait' });
    for (const call of calls) call.destroy();
    await waitFor(isWaiting(0), { what: 'they left' });
  });
  assert.deepEqual(pod.seen, ['/holder']);
  holder.destroy();
});
