/**
 * `helm install`, `upgrade` and `uninstall` by a real helm into the local cluster, where what it installs runs. Not by
 * server-side apply, which the local API does not serve and helm 4 does by default.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { CHART, helm } from '../../manifests/helm.ts';
import { functionManifest } from '../e2e/functions.ts';
import { send } from '../e2e/world.ts';
import { startTestCluster, type TestCluster } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';

/** Runs helm against the cluster; fails with what it says. */
async function helmIn(kubeconfig: string, verb: readonly string[], values?: object): Promise<string> {
  const rest = values === undefined ? [] : [CHART, '--values', '-', '--server-side=false'];
  const args = ['--kubeconfig', kubeconfig, '--namespace', 'slimfaas', ...verb, ...rest];
  const { stdout, stderr, code } = await helm(args, JSON.stringify(values ?? {}));
  assert.equal(code, 0, stderr);
  return stdout;
}

test('an upgrade to auth: required is refused while no sidecar has an identity', async () => {
  await using cluster = await startTestCluster();
  const path = cluster.kubeconfigPath;
  const replicas = { proxy: { replicas: 0 }, scaler: { replicas: 0 }, webhook: { replicas: 0 } };
  await helmIn(path, ['install', 'slimfaas', '--create-namespace'], { ...replicas, auth: 'off' });
  await assert.rejects(
    helmIn(path, ['upgrade', 'slimfaas'], replicas),
    /upgrade with --set auth=permissive first/,
  );
  await helmIn(path, ['upgrade', 'slimfaas'], { ...replicas, auth: 'permissive' });
});

test('an upgrade from identities with every right is refused until their sidecars are allowed', async () => {
  await using cluster = await startTestCluster();
  const path = cluster.kubeconfigPath;
  const replicas = { proxy: { replicas: 0 }, scaler: { replicas: 0 }, webhook: { replicas: 0 } };
  await helmIn(path, ['install', 'slimfaas', '--create-namespace'], replicas);
  const secret = (name: string) =>
    stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'slimfaas' } });
  // What the webhook of the version before made for NATS.
  await cluster.apply(secret('slimfaas-nats-identity'));
  await assert.rejects(
    helmIn(path, ['upgrade', 'slimfaas'], replicas),
    /upgrade with --set oldSidecars=true first/,
  );
  await helmIn(path, ['upgrade', 'slimfaas'], { ...replicas, oldSidecars: true });
  const args = (part: string) =>
    String(
      cluster.api.get('deployments', 'slimfaas', `slimfaas-${part}`)?.['spec'].template.spec.containers[0]
        .args,
    );
  for (const part of ['webhook', 'proxy']) assert.match(args(part), /--old-sidecars/);
  // The new webhook makes its own.
  await cluster.apply(secret('slimfaas-nats-accounts'));
  // Proxies of the version before prove nothing: pods that ask for it would refuse them.
  await assert.rejects(
    helmIn(path, ['upgrade', 'slimfaas'], replicas),
    /no Secret slimfaas-proxy-keys, .* upgrade with --set proxyProof=permissive first/,
  );
  await helmIn(path, ['upgrade', 'slimfaas'], { ...replicas, proxyProof: 'permissive' });
  assert.match(args('webhook'), /--proxy-proof=permissive/);
  await cluster.apply(secret('slimfaas-proxy-keys'));
  await helmIn(path, ['upgrade', 'slimfaas'], replicas);
  for (const part of ['webhook', 'proxy']) assert.doesNotMatch(args(part), /--old-sidecars/);
  assert.match(args('webhook'), /--proxy-proof=required/);
});

test('an upgrade between one NATS server and three is refused until streams may stay behind', async () => {
  await using cluster = await startTestCluster();
  const path = cluster.kubeconfigPath;
  const replicas = { proxy: { replicas: 0 }, scaler: { replicas: 0 }, webhook: { replicas: 0 } };
  const one = { ...replicas, auth: 'off' };
  await helmIn(path, ['install', 'slimfaas', '--create-namespace'], one);
  const three = { ...one, nats: { replicas: 3 } };
  await assert.rejects(
    helmIn(path, ['upgrade', 'slimfaas'], three),
    /would leave the jobs that wait on the volumes of StatefulSet slimfaas-nats; .* nats\.leaveStreams=true/,
  );
  await helmIn(path, ['upgrade', 'slimfaas'], { ...one, nats: { replicas: 3, leaveStreams: true } });
  // The step is done, so nothing is asked for any more.
  await helmIn(path, ['upgrade', 'slimfaas'], three);
  await assert.rejects(helmIn(path, ['upgrade', 'slimfaas'], one), /StatefulSet slimfaas-nats-cluster/);
});

async function waitUntilUp({ api }: TestCluster): Promise<void> {
  const isUp = () =>
    api
      .list('deployments', { namespace: 'slimfaas' })
      .every(
        ({ metadata, spec, status }) =>
          status?.observedGeneration === metadata.generation &&
          status?.updatedReplicas === spec.replicas &&
          status?.availableReplicas === spec.replicas,
      );
  await waitFor(isUp, { what: 'all that was installed is available', timeoutMs: 90_000 });
}

test('helm installs into one namespace’s service, callers are answered from zero, upgrades and uninstalls', async () => {
  await using cluster = await startTestCluster();
  const path = cluster.kubeconfigPath;
  const { host, port } = await cluster.publish(0, 'slimfaas', 'slimfaas-proxy', 5000);
  await cluster.apply(stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }));
  // The least rights: everything below works with them.
  const values = { namespaces: ['shop'] };
  const notes = await helmIn(path, ['install', 'slimfaas', '--create-namespace'], values);
  assert.match(notes, /kubectl -n slimfaas rollout status deployment\/slimfaas-proxy/);
  await waitUntilUp(cluster);
  assert.match(await helmIn(path, ['test', 'slimfaas']), /Phase: +Succeeded/);

  const fn = { name: 'basket', namespace: 'shop', annotations: { TimeoutSecondBeforeSetReplicasMin: 300 } };
  await cluster.apply(functionManifest(fn));
  const base = `http://${host}:${port}`;
  await waitFor(async () => (await send(`${base}/status-function/basket.shop`)).status === 200, {
    what: 'the proxy knows the function',
  });
  const first = await send(`${base}/function/basket.shop/hello/helm`);
  assert.equal(first.status, 200, first.body);

  await helmIn(path, ['upgrade', 'slimfaas'], { ...values, proxy: { replicas: 2 }, user: 'none' });
  await waitUntilUp(cluster);
  assert.equal(cluster.api.get('deployments', 'slimfaas', 'slimfaas-proxy')?.['spec'].replicas, 2);
  const bundle = cluster.api.get('mutatingwebhookconfigurations', undefined, 'slimfaas')?.['webhooks'][0];
  assert.ok(bundle.clientConfig.caBundle, 'an upgrade leaves the caBundle that the webhook filled in');
  assert.equal((await send(`${base}/function/basket.shop/hello/again`)).status, 200);

  await helmIn(path, ['uninstall', 'slimfaas']);
  assert.deepEqual(cluster.api.list('deployments', { namespace: 'slimfaas' }), []);
  assert.equal(cluster.api.get('mutatingwebhookconfigurations', undefined, 'slimfaas'), undefined);
  const claims = cluster.api.list('persistentvolumeclaims', { namespace: 'slimfaas' });
  assert.equal(claims.length, 1, 'the jobs of the bundled NATS outlive an uninstall');
});
