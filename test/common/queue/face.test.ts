/** Only the adapter knows JetStream: nothing else imports its types, or names a stream (docs/internals/queue.md). */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readImports, type ImportGraph } from '../../helpers/code/imports.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const ADAPTER = 'common/queue/jetstream/';
/** Where a part is put together: it chooses JetStream and hands on the face. */
const ENTRIES: Readonly<Record<string, readonly string[]>> = {
  [`${ADAPTER}link.ts`]: [
    'proxy/jobs/proxy-jobs.ts',
    'sidecar/events/start-events.ts',
    'sidecar/jobs/start-jobs.ts',
  ],
  [`${ADAPTER}upkeep.ts`]: ['scaler/start.ts'],
};
const LIBRARY = 'common/bus/nats-library.ts';
/** Says who may use which stream; asks for none. */
const PERMISSIONS = 'common/bus/permissions.ts';
/** Asks a server, before anything is installed, whether it has JetStream. */
const ASKS_FOR_JETSTREAM = 'cli/inject/check.ts';

/** Asks a server of the tenant's own, on a connection of its own, how far one of its consumers is. */
const SOURCE = 'scaler/sources/kinds/jetstream.ts';
/** Only waits until the library is loaded. */
const WAITS = 'cli/parts/sidecar.ts';

let graph: ImportGraph;
const texts = new Map<string, string>();

before(async () => {
  graph = await readImports(ROOT, [
    'common',
    'cli',
    'proxy',
    'sidecar',
    'scaler',
    'webhook',
    'packages',
    'manifests',
  ]);
  for (const file of graph.mentions.keys())
    if (!file.startsWith(ADAPTER)) texts.set(file, await readFile(join(ROOT, file), 'utf8'));
});

function filesWith(pattern: RegExp): string[] {
  return [...texts].filter(([, text]) => pattern.test(text)).map(([file]) => file);
}

describe('JetStream is known to its adapter alone', () => {
  it('a part enters the adapter by its two doors, where it is put together', () => {
    const entered: Record<string, string[]> = {};
    for (const [file, targets] of graph.mentions)
      for (const target of targets)
        if (target.startsWith(ADAPTER) && !file.startsWith(ADAPTER)) (entered[target] ??= []).push(file);
    for (const files of Object.values(entered)) files.sort();
    assert.deepEqual(entered, ENTRIES);
  });

  it('the client library is the link’s and the adapter’s, its types too', () => {
    assert.deepEqual(filesWith(/from 'nats'/).toSorted(), [
      'common/bus/connection-options.ts',
      'common/bus/follow-status.ts',
      'common/bus/login.ts',
      LIBRARY,
      'common/bus/nats.ts',
    ]);
    const loaders = [...graph.mentions].filter(([, targets]) => targets.includes(LIBRARY));
    const others = loaders.map(([file]) => file).filter((file) => !file.startsWith(ADAPTER));
    assert.deepEqual(others.toSorted(), [WAITS, 'common/bus/nats.ts']);
  });

  it('no other file names a stream, or calls JetStream', () => {
    assert.deepEqual(filesWith(/SLIMFAAS_(JOBS|DEAD|RESULTS|BODIES|CALLBACKS|EVENTS)\b/), [PERMISSIONS]);
    assert.deepEqual(filesWith(/\$JS\.|\bjetstream\(|\bjsm\b|JetStreamManager|JetStreamClient|StoredMsg/), [
      PERMISSIONS,
      SOURCE,
    ]);
    assert.deepEqual(filesWith(/jetstreamManager\(/), [ASKS_FOR_JETSTREAM]);
  });
});
