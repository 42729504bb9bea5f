/** Writes of EndpointSlices: one at a time for each, so many a pass, and a pause after a failure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog, type Log } from '../../../common/runtime/log.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import type { V1EndpointSlice } from '../../../common/kube/client.ts';
import { SliceWriter } from '../../../scaler/services/slice-writer.ts';

const BODY: V1EndpointSlice = { addressType: 'IPv4', endpoints: [] };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function makeWriter(create: () => Promise<V1EndpointSlice>, log: Log = silentLog) {
  const seen = { now: 0, written: 0, verbs: [] as string[] };
  const writer = new SliceWriter({
    api: { create, replace: create, remove: async () => undefined },
    onWritten: () => seen.written++,
    onGone: () => undefined,
    onWrite: (verb, isDone) => seen.verbs.push(`${verb} ${isDone}`),
    now: () => seen.now,
    log,
  });
  return { writer, seen };
}

test('one write at a time for each slice', async () => {
  let finish: (slice: V1EndpointSlice) => void = () => undefined;
  const { writer, seen } = makeWriter(() => new Promise((resolve) => (finish = resolve)));
  writer.create('a', BODY);
  assert.equal(writer.isBusy('a'), true);
  assert.equal(writer.isBusy('b'), false);
  finish(BODY);
  await turn();
  assert.equal(writer.isBusy('a'), false);
  assert.equal(seen.written, 1);
});

test('sixty in a pass, and again in the next', () => {
  const { writer } = makeWriter(async () => BODY);
  for (let i = 0; i < 59; i++) writer.create(`s${i}`, BODY);
  assert.equal(writer.isBusy('new'), false);
  writer.create('s59', BODY);
  assert.equal(writer.isBusy('new'), true);
  writer.refill();
  assert.equal(writer.isBusy('new'), false);
});

test('a second of peace after a failure', async () => {
  const { writer, seen } = makeWriter(() => Promise.reject(new Error('409')));
  writer.replace('a', BODY);
  await turn();
  assert.deepEqual(seen.verbs, ['replace false']);
  assert.equal(writer.isBusy('a'), true);
  seen.now = 1_000;
  writer.refill();
  assert.equal(writer.isBusy('a'), false);
});

test('a slice of somebody else under that name: known after two tries, said, and tried seldom', async () => {
  let isThere = true;
  const conflict = Object.assign(new Error('already exists'), { code: 409 });
  const { log, lines } = recordingLog();
  const { writer, seen } = makeWriter(async () => (isThere ? Promise.reject(conflict) : BODY), log);
  const tries: number[] = [];
  for (seen.now = 0; seen.now < 30_000; seen.now += 200) {
    writer.refill();
    if (writer.isBusy('a')) continue;
    writer.create('a', BODY);
    await turn();
    tries.push(seen.now);
    assert.equal(writer.isTaken('a'), tries.length > 1, 'once may be another scaler');
  }
  assert.deepEqual(tries, [0, 1_000, 11_000, 21_000]);
  assert.equal(lines.length, 2);
  isThere = false;
  seen.now = 31_000;
  writer.refill();
  writer.create('a', BODY);
  await turn();
  assert.equal(writer.isTaken('a'), false);
  isThere = true;
  for (const now of [32_000, 33_000]) {
    seen.now = now;
    writer.refill();
    writer.create('a', BODY);
    await turn();
  }
  assert.equal(writer.isTaken('a'), true);
  seen.now = 100_000;
  writer.refill();
  assert.equal(writer.isTaken('a'), false, 'not wanted any more');
});
