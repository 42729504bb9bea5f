/** Tokens that parts show and ask for are replaced while requests go on: none is refused. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gateOf } from '../../../common/access/open-gate.ts';
import { ownTokenFrom } from '../../../common/access/own-token.ts';
import { TOKEN_HEADER } from '../../../common/access/token.ts';
import { recordingLog } from '../../helpers/recording-log.ts';

/** A file that is replaced at once, as the kubelet does it. */
async function tokenFile(
  text: string,
): Promise<AsyncDisposable & { path: string; put(text: string): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'token-'));
  const path = join(dir, 'token');
  const put = async (next: string): Promise<void> => {
    await writeFile(`${path}.next`, next);
    await rename(`${path}.next`, path);
  };
  await put(text);
  return { path, put, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}

test('the token of operators: the next one is added, they take it, the last one goes', async () => {
  await using file = await tokenFile('first\n');
  let now = 0;
  const reviewer = { userOf: async () => undefined, may: async () => false };
  const config = { 'operator-auth': 'token', 'operator-token-file': file.path } as const;
  const gate = gateOf(config as never, { reviewer, namespaces: [], now: () => now });
  const ask = async (token: string): Promise<string> => {
    now += 1_000;
    const request = { headers: { authorization: `Bearer ${token}` }, socket: {} };
    return gate.check(request, { verb: 'get', namespace: 'shop', name: 'fib' }).then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
  };
  const askOften = async (token: string): Promise<Set<string>> =>
    new Set(await Promise.all(Array.from({ length: 30 }, () => ask(token))));
  const ok = new Set(['ok']);
  assert.deepEqual(await askOften('first'), ok);
  await file.put('first\nsecond\n');
  assert.deepEqual(await askOften('first'), ok);
  assert.deepEqual(await askOften('second'), ok);
  await file.put('second\n');
  assert.deepEqual(await askOften('second'), ok);
  assert.equal(await ask('first'), 'unauthenticated');
  await file.put('\n\n');
  now += 10_000;
  assert.deepEqual([await ask('second'), await ask('')], ['unauthenticated', 'unauthenticated']);
});

test('a part’s own token: the next one is shown within a minute, and the last one while the file cannot be read', async () => {
  await using file = await tokenFile('first\n');
  let now = 0;
  const { log, lines } = recordingLog();
  const own = ownTokenFrom(file.path, log, () => now);
  assert.deepEqual(own(), { [TOKEN_HEADER]: 'Bearer first' });
  await file.put('second\n');
  now += 60_000;
  assert.deepEqual(own(), { [TOKEN_HEADER]: 'Bearer second' });
  await rm(file.path);
  now += 60_000;
  assert.deepEqual(own(), { [TOKEN_HEADER]: 'Bearer second' });
  assert.equal(lines.length, 1);
  await file.put('third\n');
  now += 60_000;
  assert.deepEqual(own(), { [TOKEN_HEADER]: 'Bearer third' });
});
