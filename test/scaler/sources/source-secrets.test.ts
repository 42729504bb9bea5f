/** Secrets of sources: whose turn it is to be read, how often, and how much of them is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as macrotask } from 'node:timers/promises';
import { SourceSecrets } from '../../../scaler/sources/source-secrets.ts';

function heldSecrets() {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const secrets = new SourceSecrets(
    (namespace, name) => {
      asked.push(`${namespace}/${name}`);
      return new Promise((resolve) => answers.push(() => resolve({ token: 't' })));
    },
    () => 0,
  );
  const answer = async () => {
    answers.shift()?.();
    await macrotask();
  };
  return { secrets, asked, answer };
}

test('namespaces take turns, however many Secrets one names', async () => {
  const { secrets, asked, answer } = heldSecrets();
  for (let i = 0; i < 50; i++) secrets.of('big', `s${i}`);
  secrets.of('calm', 's');
  await macrotask();
  assert.deepEqual(asked, ['big/s0', 'calm/s'], 'one of a namespace at a time');
  await answer();
  assert.deepEqual(asked, ['big/s0', 'calm/s', 'big/s1']);
});

test('a line has its bound, and who finds it full is read later', async () => {
  const { secrets, asked, answer } = heldSecrets();
  const all = Array.from({ length: 150 }, (_, i) => `s${i}`);
  const askAll = () => all.forEach((name) => void secrets.of('big', name));
  askAll();
  await macrotask();
  for (let i = 0; i < 200; i++) await answer();
  assert.equal(asked.length, 101, 'one that was read at once, and a line of 100');
  askAll();
  for (let i = 0; i < 200; i++) await answer();
  assert.equal(new Set(asked).size, all.length);
  assert.equal(asked.length, all.length);
});

test('a Secret that nobody names any more is not read', async () => {
  const { secrets, asked, answer } = heldSecrets();
  secrets.of('ns', 'a');
  secrets.of('ns', 'b');
  secrets.keep([['ns', 'a']]);
  await macrotask();
  await answer();
  assert.deepEqual(asked, ['ns/a']);
});

test('one that cannot be read is tried after 15 s, then twice that, up to 5 min, and anew after a success', async () => {
  let nowMs = 0;
  let isAway = true;
  const readAt: number[] = [];
  const secrets = new SourceSecrets(
    async () => {
      readAt.push(nowMs / 1_000);
      if (isAway) throw new Error('away');
      return { token: 't' };
    },
    () => nowMs,
  );
  const until = async (seconds: number) => {
    for (; nowMs <= seconds * 1_000; nowMs += 5_000) {
      secrets.of('ns', 'a');
      await macrotask();
    }
  };
  await until(1_100);
  assert.deepEqual(readAt, [0, 15, 45, 105, 225, 465, 765, 1_065]);
  isAway = false;
  await until(1_400);
  isAway = true;
  await until(1_700);
  assert.deepEqual(readAt.slice(8), [1_365, 1_665, 1_680]);
});

test('its six values may have 64 KiB together; others are not looked at', async () => {
  let values: Record<string, string> = { token: 't', other: 'x'.repeat(900_000) };
  let nowMs = 0;
  const secrets = new SourceSecrets(
    async () => values,
    () => nowMs,
  );
  const read = async () => {
    secrets.of('ns', 'a');
    await macrotask();
    nowMs += 300_000;
    return secrets.of('ns', 'a');
  };
  const first = (await read()).credentials;
  assert.deepEqual(first, { token: 't' });
  values = { ...values, other: 'y' };
  assert.equal((await read()).credentials, first, 'the same credentials, so the source goes on');
  values = { 'ca.crt': 'é'.repeat(20_000), 'tls.crt': 'c'.repeat(30_000) };
  await read();
  assert.deepEqual(await read(), {
    credentials: undefined,
    fault: 'Secret a: ca.crt, tls.crt have 70000 bytes, and at most 65536 are allowed',
  });
});
