/** Folders of accounts in the store of a NATS server. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { giveStreams, keepAccounts } from '../../cli/parts/give-streams.ts';
import { createNkey } from '../../common/identity/nkey.ts';

async function storeWith(t: TestContext, ...accounts: string[]) {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-streams-'));
  t.after(() => rm(dir, { recursive: true }));
  for (const account of accounts)
    await mkdir(join(dir, 'jetstream', account, 'streams'), { recursive: true });
  const file = join(dir, 'account');
  const { publicKey } = createNkey('account');
  await writeFile(file, `${publicKey}\n`);
  return { dir, file, account: publicKey, now: () => readdir(join(dir, 'jetstream')) };
}

test('streams of nobody become those of the account, and again of nobody', async (t) => {
  const { dir, file, account, now } = await storeWith(t, '$G');
  assert.match(giveStreams(dir, file), /^streams of \$G are those of A/);
  assert.deepEqual(await now(), [account]);
  assert.match(giveStreams(dir, file), /already/);
  assert.deepEqual(await now(), [account]);
  giveStreams(dir, '');
  assert.deepEqual(await now(), ['$G']);
});

test('a new account takes the streams of the one before', async (t) => {
  const { dir, file, account, now } = await storeWith(t, createNkey('account').publicKey);
  giveStreams(dir, file);
  assert.deepEqual(await now(), [account]);
});

test('an empty volume, and folders of others, are left alone', async (t) => {
  const empty = await storeWith(t);
  assert.match(giveStreams(empty.dir, empty.file), /no streams yet/);
  const other = await storeWith(t, 'lost+found', '_js_');
  assert.match(giveStreams(other.dir, other.file), /no streams yet/);
  assert.deepEqual((await other.now()).toSorted(), ['_js_', 'lost+found']);
});

test('nothing is guessed where two accounts have streams', async (t) => {
  const two = [createNkey('account').publicKey, '$G'];
  const { dir, file, now } = await storeWith(t, ...two);
  assert.match(giveStreams(dir, file), /left alone/);
  assert.deepEqual((await now()).toSorted(), two.toSorted());
});

test('a file that holds no account is an error that names it', async (t) => {
  const { dir, file } = await storeWith(t, '$G');
  await writeFile(file, 'x');
  assert.throws(() => giveStreams(dir, file), /account holds no public key of an account/);
});

test('one of several servers keeps its streams, and takes along what the servers agree on', async (t) => {
  const { dir, file, account, now } = await storeWith(t);
  const before = createNkey('account').publicKey;
  const system = createNkey('account').publicKey;
  const config = join(dir, 'nats.conf');
  await writeFile(config, `operator: x\nsystem_account: ${system}\n`);
  const keep = () => keepAccounts(dir, { accountFile: file, configFile: config });
  assert.match(keep(), /agreed on nothing yet/);
  await mkdir(join(dir, 'jetstream', account, 'streams'), { recursive: true });
  await mkdir(join(dir, 'jetstream', before, '_js_', '_meta_'), { recursive: true });
  assert.match(keep(), /is that of A.* now, not of A/);
  assert.deepEqual((await now()).toSorted(), [account, system].toSorted());
  assert.match(keep(), /already/);
});

test('one of several servers does not start with streams of another account', async (t) => {
  const { dir, file, now } = await storeWith(t, '$G');
  const config = join(dir, 'nats.conf');
  await writeFile(config, `system_account: ${createNkey('account').publicKey}\n`);
  const keep = () => keepAccounts(dir, { accountFile: file, configFile: config });
  assert.throws(keep, /streams of \$G are here, and a server of several cannot give them/);
  assert.deepEqual(await now(), ['$G']);
  await mkdir(join(dir, 'jetstream', '$SYS', '_js_', '_meta_'), { recursive: true });
  assert.match(keepAccounts(dir, { accountFile: '', configFile: '' }), /of \$SYS already/);
});
