/** What strangers can make a proxy hold by posting jobs and events: bounded, and one function's callers leave room for others. */
import { jetStreamQueue } from '../../../common/queue/jetstream/link.ts';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { JobQuery } from '../../../proxy/jobs/query.ts';
import { StateWriter } from '../../../proxy/jobs/state-writer.ts';
import { UploadBudget } from '../../../proxy/jobs/accepting/upload-budget.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startEventWorld, type EventWorld } from '../support/event-world.ts';
import { elementIdOf, startJobProxy } from '../support/job-proxy.ts';

const MIB = 1024 * 1024;
const LENGTH = 512 * 1024;

async function uploadBytes(t: EventWorld): Promise<number> {
  const { text } = await t.admin('/metrics');
  return Number(/^slimfaas_proxy_upload_bytes (\d+)/m.exec(text)?.[1]);
}

/** Announces a body and sends all of it but one byte. */
async function slowUpload(t: EventWorld, path: string): Promise<{ socket: Socket; answer: () => string }> {
  let answer = '';
  const socket = connect({ host: '127.0.0.1', port: t.proxy.port });
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => (answer += data.toString('latin1')));
  await once(socket, 'connect');
  socket.write(`POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${LENGTH}\r\n\r\n`);
  socket.write(Buffer.alloc(LENGTH - 1, 'x'));
  return { socket, answer: () => answer };
}

describe('bodies that come in slowly', () => {
  it('hold no more than --upload-bytes: further ones are told 429, and another function gets its job', async () => {
    await using t = await startEventWorld([`--upload-bytes=${4 * MIB}`]);
    await t.addFunction('fib', { SubscribeEvents: 'paid' });
    await t.addFunction('other');
    const uploads: Awaited<ReturnType<typeof slowUpload>>[] = [];
    for (let i = 0; i < 20; i++)
      uploads.push(await slowUpload(t, i % 2 === 0 ? '/async-function/fib/x' : '/publish-event/paid/x'));
    await waitFor(() => uploads.filter(({ answer }) => answer().startsWith('HTTP/1.1 429')).length >= 12, {
      what: 'those beyond the bound are refused',
    });
    assert.ok(uploads.some(({ answer }) => answer().includes('--upload-bytes')));
    const held = await uploadBytes(t);
    assert.ok(held > MIB && held < 4 * MIB, `${held} bytes`);
    assert.equal((await t.post('other', '/', { body: 'small' })).status, 201, 'there is room for others');
    for (const { socket } of uploads) socket.destroy();
    await waitFor(async () => (await uploadBytes(t)) === 0, { what: 'all is given back' });
    assert.equal((await t.post('fib', '/', { body: Buffer.alloc(LENGTH) })).status, 201);
  });
});

describe('the budget of uploads', () => {
  it('one alone holds three quarters; a second one still gets its share; all is given back once', () => {
    const budget = new UploadBudget(16 * MIB);
    const fill = (key: string): number => {
      const memory = budget.open(key);
      for (let bytes = 0; ; bytes += 64 * 1024) {
        try {
          memory.add(64 * 1024);
        } catch (error) {
          assert.ok(error instanceof ReasonError && error.code === 'queue-full');
          releases.push(() => memory.release());
          return bytes;
        }
      }
    };
    const releases: (() => void)[] = [];
    assert.equal(fill('a'), 12 * MIB);
    assert.equal(fill('b'), 3 * MIB);
    for (const release of [...releases, ...releases]) release();
    assert.equal(budget.bytes, 0);
  });
});

describe('callers that wait for the end of a job', () => {
  it('beyond the bound they are answered at once with what is known', async () => {
    await using t = await startJobProxy();
    await t.addFunction('fib');
    const id = elementIdOf(await t.post('fib', '/'));
    const fn = { namespace: 'default', name: 'fib' };
    const nats = t.proxy.link;
    const queue = jetStreamQueue(nats);
    const writer = new StateWriter(queue, silentLog);
    const query = new JobQuery({ nats, queue, writer, maxWaiters: 1 });
    const left = new AbortController();
    const waiting = query.viewAtEnd(fn, id, 60_000, left.signal);
    assert.equal(query.waiters, 1);
    assert.equal((await query.viewAtEnd(fn, id, 60_000, left.signal))?.state, 'queued');
    left.abort();
    assert.equal((await waiting)?.state, 'queued');
    assert.equal(query.waiters, 0);
    await writer.stop();
  });
});
