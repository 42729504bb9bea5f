/** The bound of a function's jobs in bytes: the ledger by itself, and what callers see of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { encodeState, isFinalState, type JobState } from '../../../common/queue/state.ts';
import { BODIES_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { parseResultSubject, resultSubject } from '../../../common/bus/subjects.ts';
import { JobBytes } from '../../../proxy/jobs/accepting/job-bytes.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../../sidecar/support/app.ts';
import { elementIdOf, startJobProxy } from '../support/job-proxy.ts';

const fib = { namespace: 'shop', name: 'fib' };
const other = { namespace: 'shop', name: 'other' };
const isReason = (code: string) => (error: unknown) => error instanceof ReasonError && error.code === code;

function ledger(doneUpTo: () => Promise<number> = async () => 0) {
  const clock = { now: 0 };
  return { clock, bytes: new JobBytes({ maxBytes: 100, doneUpTo, now: () => clock.now }) };
}

test('a job holds its bytes from its reservation to its end, each function its own', async () => {
  const { bytes } = ledger();
  const first = await bytes.reserve(fib, 60);
  first.settle(7);
  first.release();
  await assert.rejects(bytes.reserve(fib, 41), isReason('queue-full'));
  await bytes.reserve(other, 100);
  (await bytes.reserve(fib, 40)).release();
  assert.equal(bytes.heldBy(fib), 60);
  bytes.ended(fib, 7);
  bytes.ended(fib, 7);
  assert.equal(bytes.heldBy(fib), 0);
  await bytes.reserve(fib, 100);
});

test('a size that is known late is taken late; what would never fit is too large', async () => {
  const { bytes } = ledger();
  const room = await bytes.reserve(fib, 0);
  await room.resize(70);
  const second = await bytes.reserve(fib, 0);
  await assert.rejects(second.resize(31), isReason('queue-full'));
  second.release();
  assert.equal(bytes.heldBy(fib), 70);
  await assert.rejects(bytes.reserve(fib, 101), isReason('body-too-large'));
  await bytes.reserve(fib, 0); // a full function still takes what has no body
});

test('an end that is heard before its job is entered counts', async () => {
  const { bytes } = ledger();
  const room = await bytes.reserve(fib, 60);
  bytes.ended(fib, 1);
  room.settle(1);
  assert.equal(bytes.heldBy(fib), 0);
});

test('at the bound JetStream is asked what is done for certain, twice a second at most', async () => {
  let asked = 0;
  let done = 0;
  const { bytes, clock } = ledger(async () => (asked++, done));
  for (const sequence of [1, 2, 3, 4]) (await bytes.reserve(fib, 25)).settle(sequence);
  assert.equal(asked, 0);
  await assert.rejects(bytes.reserve(fib, 25), isReason('queue-full'));
  done = 2;
  await assert.rejects(bytes.reserve(fib, 25), isReason('queue-full'));
  assert.equal(asked, 1);
  clock.now = 500;
  await bytes.reserve(fib, 25);
  assert.deepEqual([asked, bytes.heldBy(fib)], [2, 75]);
});

test('no bound: nothing is counted', async () => {
  const bytes = new JobBytes({ maxBytes: 0, doneUpTo: async () => 0 });
  (await bytes.reserve(fib, 1e12)).settle(1);
  assert.equal(bytes.heldBy(fib), 0);
});

test('an end is told from its bytes, whatever a result holds; and its subject from all others', () => {
  const base = { secret: 's', acceptedAtMs: 1, tries: [] };
  const result = {
    status: 200,
    headers: ['"state":"done"', '{"state":"dead"}'],
    body: '',
    bodyTruncated: false,
  };
  const states: readonly [JobState, boolean][] = [
    [{ ...base, state: 'done', result }, true],
    [{ ...base, state: 'dead', why: 'x' }, true],
    [{ ...base, state: 'cancelled' }, true],
    [{ ...base, state: 'running' }, false],
    [{ ...base, state: 'retrying', nextTryAtMs: 1 }, false],
    [{ ...base, secret: '"state":"done"', state: 'waiting-for-callback', deadlineMs: 1 }, false],
  ];
  for (const [state, expected] of states)
    assert.equal(isFinalState(encodeState(state)), expected, state.state);
  const id = { namespace: 'shop', name: 'cart.v2' };
  assert.deepEqual(parseResultSubject(resultSubject(id, 12)), { id, sequence: 12 });
  for (const subject of [
    'slimfaas.result.a.b',
    'slimfaas.result.a.b.x',
    'slimfaas.job.a.b.1',
    'slimfaas.result.a.b.1.2',
  ])
    assert.equal(parseResultSubject(subject), undefined, subject);
});

test('--max-job-bytes: 429 says why, in whatever form the body comes, and 201 when jobs are done', async () => {
  await using t = await startJobProxy(['--max-job-bytes=1000000']);
  await using app = await new App().listen();
  await t.addFunction('fib');
  await t.addFunction('other');
  const body = Buffer.alloc(600_000); // above the inline limit: it is stored
  const first = elementIdOf(await t.post('fib', '/', { body }));
  const chunks = (await t.jsm.streams.info(BODIES_STREAM)).state.messages;
  const framings: Record<string, string>[] = [{}, { 'Transfer-Encoding': 'chunked' }];
  for (const headers of framings) {
    const full = await t.post('fib', '/', { body, headers });
    assert.deepEqual(
      [full.status, full.headers['slimfaas-reason']],
      [429, 'queue-full'],
      JSON.stringify(headers),
    );
    assert.ok(Number(full.headers['retry-after']) >= 1);
    assert.match(full.text, /600000 bytes of 1000000 \(--max-job-bytes\)/);
  }
  await waitFor(async () => (await t.jsm.streams.info(BODIES_STREAM)).state.messages === chunks, {
    what: 'no body of a refused job is left',
  });
  assert.equal((await t.post('fib', '/', { body: Buffer.alloc(300_000) })).status, 201);
  assert.equal((await t.post('other', '/', { body })).status, 201, 'each function has its own bound');
  const never = await t.post('other', '/', { body: Buffer.alloc(1_000_001) });
  assert.deepEqual([never.status, never.headers['slimfaas-reason']], [413, 'body-too-large']);
  await t.sidecar('fib', app.port);
  await t.ended('fib', first);
  await waitFor(async () => (await t.post('fib', '/', { body })).status === 201, {
    what: 'there is room again',
  });
});
