/** Large bodies in JetStream: equal after the way there and back, bounded, and gone when removed. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { BodyStoreError } from '../../../../common/queue/body.ts';
import { readStoredBody, removeBody, storeBody } from '../../../../common/queue/jetstream/body-store.ts';
import { BODIES_STREAM } from '../../../../common/queue/jetstream/streams.ts';
import { startJetStream } from '../../../helpers/jetstream.ts';

async function* inPieces(body: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
}

const hash = (body: Buffer) => createHash('sha256').update(body).digest('hex');

test('a body comes back equal, whatever the pieces it came in, and is gone once removed', async () => {
  await using nats = await startJetStream();
  const body = randomBytes(3_000_001);
  const stored = await storeBody(nats, 'a', inPieces(body, 70_000), 4_000_000);
  await storeBody(nats, 'b', inPieces(randomBytes(200_000), 1_000), 4_000_000);
  assert.deepEqual(stored, { name: 'a', size: body.length });
  const read: Buffer[] = [];
  for await (const chunk of readStoredBody(nats.jsm, stored)) read.push(chunk);
  assert.equal(hash(Buffer.concat(read)), hash(body));

  await removeBody(nats.jsm, 'a');
  await removeBody(nats.jsm, 'a');
  const { state } = await nats.jsm.streams.info(BODIES_STREAM, { subjects_filter: '>' });
  assert.deepEqual(Object.keys(state.subjects ?? {}), ['slimfaas.body.b'], 'the other body stays');
  await assert.rejects(
    async () => {
      for await (const _ of readStoredBody(nats.jsm, stored)) assert.fail('nothing is left to read');
    },
    (error) => error instanceof BodyStoreError && error.code === 'incomplete',
  );
});

test('a body above the limit is refused and leaves nothing behind', async () => {
  await using nats = await startJetStream();
  await assert.rejects(storeBody(nats, 'big', inPieces(randomBytes(600_000), 50_000), 500_000), (error) => {
    return error instanceof BodyStoreError && error.code === 'too-large';
  });
  const { state } = await nats.jsm.streams.info(BODIES_STREAM);
  assert.equal(state.messages, 0);
});

test('a sender that breaks off leaves nothing behind', async () => {
  await using nats = await startJetStream();
  async function* broken(): AsyncGenerator<Buffer> {
    yield randomBytes(300_000);
    throw new Error('the caller left');
  }
  await assert.rejects(storeBody(nats, 'cut', broken(), 1e9), /the caller left/);
  const { state } = await nats.jsm.streams.info(BODIES_STREAM);
  assert.equal(state.messages, 0);
});
