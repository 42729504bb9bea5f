/** An installation without rights on the cluster, and the file that an administrator of the cluster applies for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ofKind, renderChart, type Manifest } from './manifests.ts';

const NAMESPACES = ['shop', 'billing'];
const OF_CLUSTER =
  /^(Namespace|ClusterRole|ClusterRoleBinding|MutatingWebhookConfiguration|ValidatingAdmissionPolicy(Binding)?)$/;
const render = (clusterParts: string) => renderChart({ namespaces: NAMESPACES, clusterParts });
const nameOf = ({ kind, metadata }: Manifest) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
/** Nobody but an administrator may pass on a right on EndpointSlices, so the bindings of that one are theirs too. */
const isOfCluster = ({ kind, metadata }: Manifest) =>
  OF_CLUSTER.test(kind) || metadata.name === 'slimfaas-services-slices';

test('without: nothing of the cluster, and each binding is to a Role of its namespace', async () => {
  const all = await render('without');
  assert.deepEqual(all.filter(isOfCluster).map(nameOf), []);
  const roles = new Set(ofKind(all, 'Role').map(nameOf));
  for (const binding of ofKind(all, 'RoleBinding')) {
    const { kind, name } = binding['roleRef'] as { kind: string; name: string };
    assert.equal(kind, 'Role');
    assert.ok(roles.has(`Role ${binding.metadata.namespace}/${name}`), nameOf(binding));
  }
});

test('without: the webhook serves while the configuration is not there', async () => {
  const argsOf = async (clusterParts: string) =>
    JSON.stringify(
      ofKind(await render(clusterParts), 'Deployment').find(
        ({ metadata }) => metadata.name === 'slimfaas-webhook',
      ),
    );
  assert.match(await argsOf('without'), /"--configuration-may-lack"/);
  assert.doesNotMatch(await argsOf('with'), /configuration-may-lack/);
});

test('without: the Roles of each namespace allow what the ClusterRoles do', async () => {
  const [parted, whole] = await Promise.all([render('without'), render('with')]);
  for (const part of ['proxy', 'scaler', 'operator']) {
    const rules = ofKind(whole, 'ClusterRole').find(({ metadata }) => metadata.name === `slimfaas-${part}`)?.[
      'rules'
    ];
    assert.ok(Array.isArray(rules) && rules.length > 0);
    for (const namespace of NAMESPACES) {
      const role = ofKind(parted, 'Role').find(
        ({ metadata }) => metadata.name === `slimfaas-${part}-functions` && metadata.namespace === namespace,
      );
      assert.deepEqual(role?.['rules'], rules, `${part} in ${namespace}`);
    }
  }
});

test('only: what the cluster has beside it, and nothing else', async () => {
  const [only, whole] = await Promise.all([render('only'), render('with')]);
  assert.ok(only.length > 0 && only.every(isOfCluster), only.map(nameOf).join('\n'));
  // The parts that are bound to functions have Roles in their place.
  const replaced = /slimfaas-(proxy|scaler)$/;
  assert.deepEqual(
    only.map(nameOf).toSorted(),
    whole
      .filter((object) => isOfCluster(object) && !replaced.test(object.metadata.name))
      .map(nameOf)
      .toSorted(),
  );
});
