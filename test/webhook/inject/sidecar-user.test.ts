/** The user that the sidecar runs as: a fixed one, or whichever a namespace's own range gives (OpenShift). */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { readFlags } from '../../../common/runtime/flags.ts';
import type { V1Container } from '../../../common/kube/client.ts';
import { findSidecar } from '../../../common/kube/model/containers.ts';
import { parseManifests, templateOf } from '../../manifests/manifests.ts';
import { sidecarDefaultsOf, webhookFlags } from '../../../webhook/flags.ts';
import { brokenRestrictedRules } from '../pod-rules.ts';

const MAIN = join(import.meta.dirname, '../../../cli/main.ts');
const DEPLOYMENT = `kind: Deployment
metadata: { name: web }
spec:
  template:
    metadata: { annotations: { SlimFaas/Function: 'true' } }
    spec: { containers: [{ name: app, image: 'app:1' }] }
`;

interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

function inject(args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, 'inject', ...args], (error, stdout, stderr) =>
      resolve({ stdout, stderr, code: Number(error?.code ?? 0) }),
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(DEPLOYMENT);
  });
}

async function injectedSidecar(...args: string[]): Promise<V1Container> {
  const { stdout, stderr, code } = await inject(args);
  assert.equal(code, 0, stderr);
  const [deployment] = parseManifests(stdout);
  assert.ok(deployment);
  return findSidecar(templateOf(deployment).spec) as V1Container;
}

test('65532 unless something else is said, and that where it is', async () => {
  assert.equal((await injectedSidecar()).securityContext?.runAsUser, 65_532);
  assert.equal(
    (await injectedSidecar('--sidecar-user', '1000650000')).securityContext?.runAsUser,
    1_000_650_000,
  );
});

test('none: no user is named, and everything else holds to Pod Security restricted as before', async () => {
  const sidecar = await injectedSidecar('--sidecar-user=none');
  assert.ok(!('runAsUser' in (sidecar.securityContext ?? {})));
  assert.deepEqual(brokenRestrictedRules(sidecar), []);
});

test('the webhook reads it from flag and variable alike', () => {
  const user = (argv: string[], env: Record<string, string> = {}) =>
    sidecarDefaultsOf(readFlags(webhookFlags, argv, env)).user;
  assert.equal(user([]), 65_532);
  assert.equal(user(['--sidecar-user=7']), 7);
  assert.equal(user(['--sidecar-user=2147483647']), 2_147_483_647);
  assert.equal(user([], { SLIMFAAS_SIDECAR_USER: 'none' }), undefined);
});

for (const bad of ['0', '-1', '1.5', '2147483648', 'root', 'None', '0x10', ' 7', '1e3'])
  test(`${JSON.stringify(bad)} is refused in words that name the flag, the value and what is allowed`, () => {
    const allowed = 'is not allowed; use a user id from 1 to 2147483647, or none';
    for (const [origin, argv, env] of [
      ['--sidecar-user', [`--sidecar-user=${bad}`], {}],
      ['SLIMFAAS_SIDECAR_USER', [], { SLIMFAAS_SIDECAR_USER: bad }],
    ] as const)
      assert.throws(
        () => readFlags(webhookFlags, argv, env),
        (error: Error) => error.message.startsWith(`${origin}: ${JSON.stringify(bad)} ${allowed}`),
      );
  });

test('slimfaas inject refuses it too, with exit code 2', async () => {
  const { stderr, code } = await inject(['--sidecar-user', 'root']);
  assert.match(stderr, /--sidecar-user: "root" is not allowed; use a user id from 1 to 2147483647, or none/);
  assert.equal(code, 2);
});
