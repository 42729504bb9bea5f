/** servicesWake: the right to write EndpointSlices, its policy, and the ports for Services. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ofKind, renderChart, type Manifest } from './manifests.ts';

interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const WRITES = /^(create|update|delete)$/;

function writersOfSlices(all: readonly Manifest[]): string[] {
  return [...ofKind(all, 'ClusterRole'), ...ofKind(all, 'Role')]
    .filter(({ rules }) =>
      (rules as Rule[]).some(
        ({ resources, verbs }) =>
          resources.includes('endpointslices') && verbs.some((verb) => WRITES.test(verb)),
      ),
    )
    .map(({ metadata }) => metadata.name);
}

function proxyPorts(all: readonly Manifest[]): unknown {
  const policy = ofKind(all, 'NetworkPolicy').find(({ metadata }) => metadata.name === 'slimfaas-proxy');
  return policy?.['spec'].ingress[0].ports;
}

test('who may write EndpointSlices is held by a policy; without the value nobody may, and nothing reads Services', async () => {
  const [on, off] = await Promise.all([renderChart({}), renderChart({ servicesWake: false })]);
  assert.deepEqual(writersOfSlices(on), ['slimfaas-services-slices']);
  assert.equal(ofKind(on, 'ValidatingAdmissionPolicy').length, 1);
  assert.deepEqual(writersOfSlices(off), []);
  assert.equal(ofKind(off, 'ValidatingAdmissionPolicy').length, 0);
  const scaler = ofKind(off, 'Deployment').find(({ metadata }) => metadata.name === 'slimfaas-scaler');
  assert.match(JSON.stringify(scaler), /--services-wake=false/);
  const role = ofKind(off, 'ClusterRole').find(({ metadata }) => metadata.name === 'slimfaas-scaler');
  assert.doesNotMatch(JSON.stringify(role), /"services"|endpointslices/);
});

test('in named namespaces the right is given in these alone', async () => {
  const all = await renderChart({ namespaces: ['shop', 'billing'] });
  const bindings = all.filter(
    ({ kind, metadata }) => kind.endsWith('Binding') && metadata.name === 'slimfaas-services-slices',
  );
  assert.deepEqual(
    bindings.map(({ kind, metadata }) => [kind, metadata.namespace]),
    [
      ['RoleBinding', 'shop'],
      ['RoleBinding', 'billing'],
    ],
  );
});

test('the NetworkPolicy of proxies admits callers of Services on the ports of the flags', async () => {
  const policies = { networkPolicies: { parts: true } };
  const scaler = { flags: { 'services-ports-first': 30_000, 'services-ports-last': 30_099 } };
  const [usual, moved, off] = await Promise.all([
    renderChart(policies),
    renderChart({ ...policies, scaler }),
    renderChart({ ...policies, servicesWake: false }),
  ]);
  const named = ['http', 'https'].map((port) => ({ protocol: 'TCP', port }));
  const outside = { protocol: 'TCP', port: 'public' };
  assert.deepEqual(proxyPorts(usual), [
    ...named,
    { protocol: 'TCP', port: 20_000, endPort: 29_999 },
    outside,
  ]);
  assert.deepEqual(proxyPorts(moved), [
    ...named,
    { protocol: 'TCP', port: 30_000, endPort: 30_099 },
    outside,
  ]);
  assert.deepEqual(proxyPorts(off), [...named, outside]);
});
