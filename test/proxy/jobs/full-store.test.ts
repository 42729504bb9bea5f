/** JetStream has no room left: posts are refused with the reason, and what makes room works. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { waitFor } from '../../helpers/wait.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';

const ROOM = { nats: { maxFileStoreBytes: 4_000_000 } };

/** Posts until nothing is taken any more. @returns the ids of what was, and the last answer */
async function fill(t: JobProxy, name: string): Promise<{ ids: string[]; refusal: string }> {
  const ids: string[] = [];
  let refusal = '';
  for (const size of [200_000, 20_000, 1_000, 1]) {
    for (;;) {
      const answer = await t.post(name, '/', { body: Buffer.alloc(size, 'x') });
      if (answer.status !== 201) {
        assert.equal(answer.status, 503);
        refusal = answer.text;
        break;
      }
      ids.push(elementIdOf(answer));
    }
  }
  return { ids, refusal };
}

const cancel = (t: JobProxy, id: string) => t.job('fib', id, { method: 'DELETE' });

test('a full store refuses posts with its reason; DELETE works and keeps the state; then there is room', async () => {
  await using t = await startJobProxy([], {}, ROOM);
  await t.addFunction('fib');
  const { ids, refusal } = await fill(t, 'fib');
  assert.match(refusal, /queue-unavailable.*insufficient resources/);
  for (const id of [ids.at(-1), ids[0]] as string[]) {
    assert.equal((await cancel(t, id)).status, 204);
    assert.equal((JSON.parse((await t.job('fib', id)).text) as { state: string }).state, 'cancelled');
  }
  assert.equal((await cancel(t, ids[0] as string)).status, 409, 'it has ended');
  assert.equal((await t.post('fib', '/')).status, 201);
});

test('the state of a cancelled job is written when there is room for it', async () => {
  await using t = await startJobProxy([], {}, ROOM);
  await t.addFunction('fib');
  const small = elementIdOf(await t.post('fib', '/'));
  await fill(t, 'fib');
  assert.equal((await cancel(t, small)).status, 204);
  await t.jsm.streams.purge(JOBS_STREAM);
  const { url } = await t.proxy.another();
  await waitFor(async () => (await fetch(`${url}/async-function-job/fib/${small}`)).ok, {
    what: 'another proxy knows its state',
  });
});

test('without an answer of JetStream the routes of jobs say 503 and why, and not 500', async () => {
  await using t = await startJobProxy();
  await t.addFunction('fib');
  const id = elementIdOf(await t.post('fib', '/'));
  process.kill(t.proxy.nats.pid as number, 'SIGSTOP');
  const asked = await Promise.all([cancel(t, id), t.job('fib', id), t.admin('/dead-jobs')]);
  process.kill(t.proxy.nats.pid as number, 'SIGCONT');
  for (const answer of asked) {
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.text, /queue-unavailable/);
  }
});
