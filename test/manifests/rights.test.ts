/** Each part may do in Kubernetes what its code asks for, and nothing else: rights are read from the code's calls. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { renderChart, type Manifest } from './manifests.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Rights that no request of the API uses: other parts ask whether this one has them. */
const ASKED_BY_PARTS = /^\w+ functions\b/;
const CALL =
  /\b(?:apps|core|coordination|admission|autoscaling|discovery|rbac)\.(list|read|create|replace|patch|delete)(\w+)/g;
const VERBS: Readonly<Record<string, readonly string[]>> = {
  // Whatever is listed is watched, by common/kube/watched.ts.
  list: ['list', 'watch'],
  read: ['get'],
  create: ['create'],
  replace: ['update'],
  patch: ['patch'],
  delete: ['delete'],
};
const RESOURCES: Readonly<Record<string, string>> = {
  Deployment: 'deployments',
  DeploymentScale: 'deployments/scale',
  DeploymentStatus: 'deployments/status',
  StatefulSet: 'statefulsets',
  StatefulSetScale: 'statefulsets/scale',
  StatefulSetStatus: 'statefulsets/status',
  Pod: 'pods',
  Event: 'events',
  Lease: 'leases',
  Service: 'services',
  EndpointSlice: 'endpointslices',
  ClusterRole: 'clusterroles',
  Secret: 'secrets',
  ConfigMap: 'configmaps',
  HorizontalPodAutoscaler: 'horizontalpodautoscalers',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
};

/** What proxy and scaler list and watch. A part that imports it uses all of it. */
const LISTED = 'common/kube/listed.ts';

function rightsOfCode(part: string): string[] {
  const rights = new Set<string>();
  for (const path of filesWithCalls(part))
    for (const [, verb = '', name = ''] of readFileSync(join(root, path), 'utf8').matchAll(CALL)) {
      const kind = name.replace(/^Namespaced|ForAllNamespaces$/g, '');
      const resource = RESOURCES[kind];
      assert.ok(resource, `${path}: what resource is ${name}?`);
      for (const right of VERBS[verb] ?? []) rights.add(`${right} ${resource}`);
    }
  return [...rights].toSorted();
}

function filesWithCalls(part: string): string[] {
  const own = readdirSync(join(root, part), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(part, name));
  const usesListed = own.some((path) => readFileSync(join(root, path), 'utf8').includes(`/${LISTED}'`));
  return usesListed ? [...own, LISTED] : own;
}

/** Roles that are not named after their part. */
const MORE: Readonly<Record<string, readonly string[]>> = {
  proxy: ['slimfaas-proxy-keys'],
  scaler: ['slimfaas-services', 'slimfaas-services-slices'],
  webhook: ['slimfaas-issuer', 'slimfaas-proxy-keys-keeper'],
};

/** What a part uses and the chart never grants: the owner of a namespace gives it, Secret by Secret (docs/decisions/sources.md). */
const GIVEN_BY_TENANTS: Readonly<Record<string, readonly string[]>> = { scaler: ['get secrets'] };

function rightsGranted(part: string, manifests: readonly Manifest[]): string[] {
  const rights = new Set<string>();
  for (const { kind, metadata, ...rest } of manifests) {
    const isOf = metadata.name === `slimfaas-${part}` || MORE[part]?.includes(metadata.name);
    if (!/^(Cluster)?Role$/.test(kind) || !isOf) continue;
    for (const rule of rest['rules'] as { resources: string[]; verbs: string[] }[])
      for (const resource of rule.resources) for (const verb of rule.verbs) rights.add(`${verb} ${resource}`);
  }
  return [...rights].filter((right) => !ASKED_BY_PARTS.test(right)).toSorted();
}

for (const part of ['proxy', 'scaler', 'webhook'])
  test(`the ${part} has the rights that its code uses, each of them and no other`, async () => {
    const used = rightsOfCode(part);
    assert.ok(used.length > 3, 'its calls were found');
    const values = { auth: 'required' };
    const byTenants = GIVEN_BY_TENANTS[part] ?? [];
    assert.deepEqual([...rightsGranted(part, await renderChart(values)), ...byTenants].toSorted(), used);
  });
