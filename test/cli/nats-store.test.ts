/** What a NATS server may keep on its volume, as it is written down before the server starts. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { STORE_CONFIG, writeStoreConfig } from '../../cli/parts/nats-store.ts';
import { UsageError } from '../../common/runtime/errors.ts';

let storeDir: string;

before(async () => {
  storeDir = await mkdtemp(join(tmpdir(), 'slimfaas-store-'));
});

after(() => rm(storeDir, { recursive: true, force: true }));

async function written(volume: string, include = ''): Promise<string> {
  writeStoreConfig({ storeDir, volume, include, tlsDir: '' });
  return readFile(join(storeDir, STORE_CONFIG), 'utf8');
}

const boundIn = (text: string): number => Number(/max_file_store: (\d+) }/.exec(text)?.[1]);

test('seven tenths of the volume, whatever is on it, and the other file', async () => {
  const text = await written('1Mi', join(storeDir, '..', 'identity', 'nats.conf'));
  assert.equal(boundIn(text), Math.floor(0.7 * 2 ** 20));
  assert.match(text, /\ninclude '..\/identity\/nats.conf'\n$/);
  assert.doesNotMatch(await written('1Mi'), /include/);
});

test('less where the file system has less; what the streams have already counts as theirs', async () => {
  const { bavail, bsize } = await statfs(storeDir);
  const bound = boundIn(await written('999999Ti'));
  // Others write to that disk too.
  assert.ok(bound > 0 && bound < 1.5 * bavail * bsize, String(bound));
  await writeFile(join(storeDir, 'messages'), Buffer.alloc(64 * 1024, 'x'));
  assert.equal(boundIn(await written('1Mi')), Math.floor(0.7 * 2 ** 20));
});

test('a size that is none names the flag', () => {
  for (const volume of ['10gi', '-1', '0', 'all'])
    assert.throws(
      () => writeStoreConfig({ storeDir, volume, include: '', tlsDir: '' }),
      (error) => error instanceof UsageError && error.message.includes('--volume'),
    );
});
