/** Large bodies in JetStream: equal after the way there and back, bounded, and gone when removed. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { BodyStoreError } from '../../../../common/queue/body.ts';
import {
  readStoredBody,
  readChunk,
  removeBody,
  storeBody,
} from '../../../../common/queue/jetstream/bodies/body-store.ts';
import { BODIES_STREAM } from '../../../../common/queue/jetstream/streams.ts';
import { startJetStream } from '../../../helpers/jetstream.ts';

async function* inPieces(body: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
}

const hash = (body: Buffer) => createHash('sha256').update(body).digest('hex');

for (const [form, own, other, subjects] of [
  ['of one token', 'a', 'b', ['slimfaas.body.b']],
  [
    'with its function',
    'ns.cart%2Ev2.a',
    'ns.cart%2Ev2.b',
    ['1', '2'].map((n) => `slimfaas.body.ns.cart%2Ev2.b.${n}`),
  ],
] as const)
  test(`a body named ${form} comes back equal, whatever its pieces, and is gone once removed`, async () => {
    await using nats = await startJetStream();
    const body = randomBytes(3_000_001);
    const stored = await storeBody(nats, own, inPieces(body, 70_000), 4_000_000);
    await storeBody(nats, other, inPieces(randomBytes(200_000), 1_000), 4_000_000);
    assert.deepEqual(stored, { name: own, size: body.length });
    const read = () => readStoredBody(stored, (name, after) => readChunk(nats.jsm, name, after));
    const parts: Buffer[] = [];
    for await (const chunk of read()) parts.push(chunk);
    assert.equal(hash(Buffer.concat(parts)), hash(body));

    await removeBody(nats.jsm, own);
    await removeBody(nats.jsm, own);
    const { state } = await nats.jsm.streams.info(BODIES_STREAM, { subjects_filter: '>' });
    assert.deepEqual(Object.keys(state.subjects ?? {}).toSorted(), subjects, 'the other body stays');
    await assert.rejects(
      async () => {
        for await (const _ of read()) assert.fail('nothing is left to read');
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
