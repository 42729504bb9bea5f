/** The commands against a cluster that a kubeconfig names: no address is given, and nothing is forwarded. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { functionManifest } from '../e2e/functions.ts';
import { startTestSystem, type TestSystem } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

async function slimfaas(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { stdout, stderr, code: code as number };
}

const IMAGE = 'slimfaas/slimfaas:0.1.0';

/** As an upgrade does it: the webhook injects another image from now on. */
async function upgradeWebhook(system: TestSystem, image: string): Promise<void> {
  await system.api.modify('deployments', 'slimfaas', 'slimfaas-webhook', (webhook) => {
    const [container] = webhook['spec'].template.spec.containers;
    const variables = container.env as { name: string; value?: string }[];
    const given = variables.find(({ name }) => name === 'SLIMFAAS_SIDECAR_IMAGE');
    assert.equal(given?.value, IMAGE);
    given.value = image;
  });
  await waitFor(
    () => {
      const webhook = system.api.get('deployments', 'slimfaas', 'slimfaas-webhook');
      const { updatedReplicas, replicas, availableReplicas, observedGeneration } = webhook?.['status'] ?? {};
      return (
        observedGeneration === webhook?.metadata.generation &&
        updatedReplicas === replicas &&
        availableReplicas === replicas
      );
    },
    { what: 'the new webhook answers alone', timeoutMs: 60_000 },
  );
}

test('status, call, query, jobs dead and status --outdated --restart, through the API server', async () => {
  await using system = await startTestSystem();
  const env = { KUBECONFIG: system.kubeconfigPath, HOME: '/nowhere' };
  await system.apply(functionManifest({ name: 'fn', annotations: { ReplicasMin: 1 }, replicas: 1 }));
  const isReady = async () => / fn +1 +1 /.test((await slimfaas(['status'], env)).stdout);
  await waitFor(isReady, { what: 'status shows the function', timeoutMs: 30_000 });

  const one = await slimfaas(['status', 'fn', '-n', 'slimfaas'], env);
  assert.match(one.stdout, /slimfaas +fn +1 +1/, one.stderr);
  assert.doesNotMatch(one.stdout, /decisions are not shown/);
  assert.doesNotMatch((await slimfaas(['status', '-n', 'elsewhere'], env)).stdout, / fn /);
  assert.equal((await slimfaas(['call', 'fn', '/hello/you'], env)).stdout, 'Hello you\n');
  assert.equal(
    (await slimfaas(['wake', 'fn', '--namespace', 'slimfaas'], env)).stdout,
    'fn.slimfaas: waking\n',
  );
  const query = await slimfaas(['query', 'vector(7)'], env);
  assert.match(query.stdout, /a trigger gets 7/, query.stderr);
  assert.equal((await slimfaas(['jobs', 'dead', 'list'], env)).stdout, 'no dead jobs\n');

  // Nobody but the account that operates them, and never with what the kubeconfig holds.
  const asOther = await slimfaas(['query', 'vector(7)', '--as-service-account', 'slimfaas-nobody'], env);
  assert.match(asOther.stderr, /no token of the service account slimfaas\/slimfaas-nobody: .*not found/);
  const asProxy = await slimfaas(['jobs', 'dead', 'list', '--as-service-account', 'slimfaas-proxy'], env);
  assert.match(asProxy.stderr, /403: "system:serviceaccount:slimfaas:slimfaas-proxy" may not list functions/);
  const wrong = await slimfaas(['query', 'vector(7)', '--as-service-account', 'a/b/c'], env);
  assert.deepEqual([wrong.code, /"a\/b\/c" is not NAME or NAMESPACE\/NAME/.test(wrong.stderr)], [2, true]);

  const elsewhere = await slimfaas(['status', '--system-namespace', 'default'], env);
  assert.equal(elsewhere.code, 1);
  assert.match(elsewhere.stderr, /no ready pod of the proxy in namespace default/);

  assert.match(
    (await slimfaas(['status', '--outdated'], env)).stdout,
    new RegExp(`every sidecar is ${IMAGE}`),
  );
  await upgradeWebhook(system, 'registry/slimfaas:0.2.0');
  const outdated = await slimfaas(['status', '--outdated', '--restart'], env);
  assert.match(outdated.stdout, /slimfaas +fn-\S+ +deployment\/fn +0\.1\.0 +slimfaas\/slimfaas:0\.1\.0/);
  assert.match(outdated.stdout, /^slimfaas\/deployment\/fn: restarted$/m);
  const isCurrent = async () =>
    /every sidecar is registry\/slimfaas:0\.2\.0/.test(
      (await slimfaas(['status', '--outdated'], env)).stdout,
    );
  await waitFor(isCurrent, { what: 'the pods were made again', timeoutMs: 60_000 });
});

const refusals: [what: string, args: string[], message: RegExp][] = [
  [
    'a kubeconfig that is not there',
    ['--kubeconfig', '/nowhere/config'],
    /--kubeconfig: no file \/nowhere\/config/,
  ],
  ['--restart without --outdated', ['--restart'], /--restart goes with --outdated/],
  [
    'two namespaces for one function',
    ['fn.a', '-n', 'b', '--proxy-url', 'http://127.0.0.1:1'],
    /fn\.a names a namespace already; leave --namespace b out/,
  ],
];
for (const [what, args, message] of refusals)
  test(`${what}: exit 2, and a line that says so`, async () => {
    const { code, stderr } = await slimfaas(['status', ...args], { HOME: '/nowhere' });
    assert.match(stderr, message);
    assert.equal(code, 2);
  });

test('without a cluster and an address it looks where npm start answers, and says what else there is', async () => {
  const { code, stderr } = await slimfaas(['query', 'up'], { HOME: '/nowhere', PATH: '' });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /no answer from http:\/\/127\.0\.0\.1:5001\/.*--scaler-url names its address, KUBECONFIG its cluster/,
  );
});
