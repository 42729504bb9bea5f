/** The note by which commands find the local cluster of this machine: it counts while its process lives. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findRunningLocal, noteRunningLocal } from '../../cli/reach/running-local.ts';

const temp = mkdtempSync(join(tmpdir(), 'slimfaas-note-'));
after(() => rmSync(temp, { recursive: true, force: true }));
const path = join(temp, 'state/note.json');

test('a note is found until it is taken back, and is for its owner alone', async () => {
  assert.equal(await findRunningLocal(path), undefined);
  const forget = await noteRunningLocal('/somewhere/kubeconfig', path);
  assert.equal(await findRunningLocal(path), '/somewhere/kubeconfig');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await forget();
  assert.equal(existsSync(path), false);
});

test('a note of a process that was killed counts no more', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  writeFileSync(path, JSON.stringify({ pid: child.pid, kubeconfig: '/somewhere/kubeconfig' }));
  assert.equal(await findRunningLocal(path), undefined);
});

test('whoever ends leaves the note of one that was started later', async () => {
  const forget = await noteRunningLocal('/first', path);
  const note = JSON.stringify({ pid: process.ppid, kubeconfig: '/second' });
  writeFileSync(path, note);
  await forget();
  assert.equal(await findRunningLocal(path), '/second');
});

for (const text of ['', '{', 'null', '{"pid":"1","kubeconfig":"/a"}', '{"pid":1}'])
  test(`${JSON.stringify(text)} is no note`, async () => {
    writeFileSync(path, text);
    assert.equal(await findRunningLocal(path), undefined);
  });
