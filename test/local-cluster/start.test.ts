/** What `slimfaas local` does with an installation that cannot come up; the rest is in test/cli/local.test.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLog } from '../../common/runtime/log.ts';
import type { LocalConfig } from '../../packages/local-cluster/flags.ts';
import { startLocal } from '../../packages/local-cluster/start.ts';
import { processesWith } from './support/pods.ts';

const manifestsDir = mkdtempSync(join(tmpdir(), 'slimfaas-test-'));
after(() => rmSync(manifestsDir, { recursive: true, force: true }));

const config: LocalConfig = {
  port: 0,
  manifests: [],
  'no-demo': true,
  'system-log': false,
  'log-level': 'info',
};

const NAMESPACE = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: slimfaas }\n---\n';

function start(installYaml: string, signal = new AbortController().signal) {
  writeFileSync(join(manifestsDir, 'install.yaml'), NAMESPACE + installYaml);
  const printed: string[] = [];
  const deps = {
    entrypoint: [],
    manifestsDir,
    demoServer: '',
    log: silentLog,
    print: (line: string) => printed.push(line),
    signal,
  };
  return { printed, running: startLocal(config, deps) };
}

test('a program that this machine lacks is named at once, not after a minute', async () => {
  const { running } = start(`
apiVersion: v1
kind: Pod
metadata: { name: nats-0, namespace: slimfaas }
spec: { containers: [{ name: nats, image: none, command: [no-such-server] }] }`);
  await assert.rejects(running, {
    message:
      'the system does not come up: nats-0: exec: "no-such-server": executable file not found in $PATH',
  });
});

test('a signal during the start: it comes back early, says nothing of being up, and can be stopped', async () => {
  const stopping = new AbortController();
  const { running, printed } = start(
    `
apiVersion: v1
kind: Pod
metadata: { name: nats-0, namespace: slimfaas }
spec: { containers: [{ name: nats, image: none, command: [env, SLIMFAAS_TEST_START=${process.pid}, sleep, '1000'] }] }`,
    stopping.signal,
  );
  setTimeout(() => stopping.abort(), 300);
  await (await running).stop();
  assert.deepEqual(printed, []);
  assert.deepEqual(processesWith(`SLIMFAAS_TEST_START=${process.pid}`), []);
});
