/** Publishing with JetStream's confirmation: each way in which it may end, told apart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AckedPublisher } from '../../../../common/queue/jetstream/acked-publisher.ts';
import { JOBS_STREAM } from '../../../../common/queue/jetstream/streams.ts';
import type { NatsConnection } from '../../../../common/bus/nats.ts';
import { natsHeaders } from '../../../../common/bus/nats-library.ts';
import { functionSubject } from '../../../../common/bus/subjects.ts';
import { jobSettings, startJetStream, type TestJetStream } from '../../../helpers/jetstream.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { getStored } from '../../../../common/queue/jetstream/library.ts';

const subject = functionSubject('job', { namespace: 'shop', name: 'cart' });
const payload = Buffer.from('a job');
const LONG_MS = 20_000;

function connectionOf({ link }: TestJetStream): NatsConnection {
  return link.connection ?? assert.fail('not connected');
}

test('accepted with its place; the same id is a duplicate; headers travel; beyond the bound it is refused', async () => {
  await using js = await startJetStream({ ...jobSettings, maxJobsPerFunction: 2 });
  const publisher = AckedPublisher.of(connectionOf(js));
  assert.equal(AckedPublisher.of(connectionOf(js)), publisher, 'one for a connection');
  const headers = natsHeaders();
  headers.set('Odd', 'yes');
  const first = await publisher.publish({ subject, payload, messageId: 'one', headers }, LONG_MS);
  assert.deepEqual(first, { kind: 'accepted', sequence: 1, isDuplicate: false });
  const again = await publisher.publish({ subject, payload, messageId: 'one' }, LONG_MS);
  assert.deepEqual(again, { kind: 'accepted', sequence: 1, isDuplicate: true });
  const stored = await getStored(js.jsm, JOBS_STREAM, { seq: 1 });
  assert.equal(stored?.header.get('Odd'), 'yes');
  assert.deepEqual(Buffer.from(stored?.data ?? []), payload);
  assert.equal((await publisher.publish({ subject, payload }, LONG_MS)).kind, 'accepted');
  const full = await publisher.publish({ subject, payload, messageId: 'three' }, LONG_MS);
  assert.ok(full.kind === 'refused' && full.isFull, JSON.stringify(full));
});

test('thousands at once: each hears of its own, in the order in which they were published', async () => {
  await using js = await startJetStream();
  const publisher = AckedPublisher.of(connectionOf(js));
  const count = 3_000;
  const outcomes = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      publisher.publish({ subject, payload, messageId: String(i) }, LONG_MS),
    ),
  );
  const sequences = outcomes.map((outcome) => (outcome.kind === 'accepted' ? outcome.sequence : outcome));
  assert.deepEqual(
    sequences,
    Array.from({ length: count }, (_, i) => i + 1),
  );
});

test('nobody takes it: not sent, at once and not at the end of its time', async () => {
  await using js = await startJetStream(null);
  const outcome = await AckedPublisher.of(connectionOf(js)).publish({ subject, payload }, 600_000);
  assert.equal(outcome.kind, 'not-sent');
});

test('silence is unknown when its time is over, and what comes later changes nothing', async () => {
  await using js = await startJetStream(null);
  const connection = connectionOf(js);
  const answers = Promise.withResolvers<() => void>();
  connection.subscribe(subject, {
    callback: (_error, message) => answers.resolve(() => message.respond('{"stream":"S","seq":1}')),
  });
  const publisher = AckedPublisher.of(connection);
  const outcome = await publisher.publish({ subject, payload }, 100);
  assert.equal(outcome.kind, 'unknown');
  (await answers.promise)();
  await connection.flush();
  assert.equal((await publisher.publish({ subject, payload }, 100)).kind, 'unknown', 'the next is its own');
});

test('an answer that says nothing of a place is unknown', async () => {
  await using js = await startJetStream(null);
  const connection = connectionOf(js);
  for (const answer of ['{}', 'x', '[]', '"a"', '1']) {
    const subscription = connection.subscribe(subject, {
      max: 1,
      callback: (_error, message) => message.respond(answer),
    });
    const outcome = await AckedPublisher.of(connection).publish({ subject, payload }, LONG_MS);
    assert.equal(outcome.kind, 'unknown', answer);
    subscription.unsubscribe();
  }
});

test('what cannot leave is not sent: beyond the server’s limit, or on a connection that is closed', async () => {
  await using js = await startJetStream();
  const connection = connectionOf(js);
  const publisher = AckedPublisher.of(connection);
  const large = Buffer.alloc(2 * 1_048_576);
  assert.equal((await publisher.publish({ subject, payload: large }, LONG_MS)).kind, 'not-sent');
  assert.equal((await publisher.publish({ subject, payload }, LONG_MS)).kind, 'accepted', 'the next is fine');
  await connection.close();
  assert.equal((await publisher.publish({ subject, payload }, LONG_MS)).kind, 'not-sent');
});

test('while JetStream confirms nothing, 20,000 wait and no more', async () => {
  await using js = await startJetStream(null);
  const connection = connectionOf(js);
  connection.subscribe(subject, { callback: () => undefined }); // takes it and says nothing
  const publisher = new AckedPublisher(connection);
  const publish = () => publisher.publish({ subject, payload }, 2_000);
  const waiting = Array.from({ length: 20_000 }, publish);
  assert.equal(publisher.waiting, 20_000);
  assert.equal((await publish()).kind, 'not-sent');
  assert.ok((await Promise.all(waiting)).every(({ kind }) => kind === 'unknown'));
  assert.equal(publisher.waiting, 0);
});

test('64 MiB are sent without a confirmation; the next wait for room, in order, and for their time at most', async () => {
  await using js = await startJetStream(null);
  const connection = connectionOf(js);
  const heard: (() => void)[] = [];
  const callback = (_error: unknown, message: { respond(data: string): boolean }): void =>
    void heard.push(() => message.respond(`{"stream":"S","seq":${heard.length}}`));
  connection.subscribe(subject, { callback });
  const publisher = new AckedPublisher(connection);
  const large = Buffer.alloc(512 * 1_024);
  const publish = (timeoutMs: number) => publisher.publish({ subject, payload: large }, timeoutMs);
  const first = Array.from({ length: 128 }, () => publish(LONG_MS));
  const [late, next] = [publish(200), publish(LONG_MS)];
  const outcome = await late;
  assert.ok(outcome.kind === 'not-sent' && /no room in time/.test(outcome.error.message));
  await waitFor(() => heard.length >= 128, { what: 'what was sent has come' });
  assert.equal(heard.length, 128);
  for (const confirm of heard.splice(0)) confirm();
  assert.ok((await Promise.all(first)).every(({ kind }) => kind === 'accepted'));
  await waitFor(() => heard.length === 1, { what: 'the one that waited has come' });
  heard[0]?.();
  assert.equal((await next).kind, 'accepted');
  assert.equal(publisher.waiting, 0);
});
