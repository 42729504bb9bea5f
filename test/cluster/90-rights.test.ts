/**
 * What the parts may do, and have done, in all files of the run. By itself this file finds rights unused that other files
 * use.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createFaults, whyNoFaults, type AuditEntry } from './harness/faults.ts';
import type { KubeObject } from './harness/clients.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { settings } = world.context;
const { system } = world.release;
const PARTS = ['proxy', 'scaler', 'webhook'];

it('no part was ever forbidden anything', async () => {
  const pods = await world.list(`/api/v1/namespaces/${system}/pods`);
  const lines: string[] = [];
  for (const { metadata } of pods) {
    const log = await world.kubectl(['logs', '-n', system, metadata.name, '--all-containers', '--tail=-1']);
    lines.push(...log.split('\n').filter((line) => /forbidden/i.test(line)));
  }
  assert.deepEqual(lines, []);
});

/** Used only when a write met another one. */
const ONLY_ON_CONFLICT = ['get apps/deployments/scale', 'get apps/statefulsets/scale'];
/** Used for a canary that is a StatefulSet, as for one that is a Deployment. No file of this run has one. */
const ONLY_FOR_SETS = ['patch apps/statefulsets/status'];
const MAY_BE_UNUSED = new Set([...ONLY_ON_CONFLICT, ...ONLY_FOR_SETS]);
/** The owner of a namespace gives this right, and 66-sources asks before it is given (docs/decisions/sources.md). */
const GIVEN_BY_TENANTS = /^scaler: secrets "[^"]+" is forbidden: .* cannot get resource "secrets"/;

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** The scaler's right to write EndpointSlices, and to read their owner. */
async function sliceRoles(): Promise<(KubeObject | undefined)[]> {
  const base = '/apis/rbac.authorization.k8s.io/v1/clusterroles';
  const names = ['services', 'services-slices'].map((name) => `${base}/slimfaas-${system}-${name}`);
  return Promise.all(names.map((path) => world.get(path)));
}

/** `verb group/resource`, for each that a part is granted. */
async function grantsOf(part: string): Promise<string[]> {
  const base = '/apis/rbac.authorization.k8s.io/v1';
  const objects = [
    await world.get(`${base}/clusterroles/slimfaas-${system}-${part}`),
    ...(part === 'scaler' ? await sliceRoles() : []),
    await world.get(`${base}/namespaces/${system}/roles/slimfaas-${part}`),
  ];
  const rules = objects.flatMap((object) => (object?.['rules'] ?? []) as Rule[]);
  // No request uses a right on functions.slimfaas.dev: other parts ask whether this one has it.
  return rules
    .filter(({ apiGroups }) => !apiGroups.includes('slimfaas.dev'))
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    );
}

function requestOf({ verb, objectRef }: AuditEntry): string {
  const { apiGroup = '', resource = '', subresource } = objectRef ?? {};
  return `${verb} ${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
}

it('no request was refused, and no right is unused', { skip: whyNoFaults(settings) ?? false }, async (t) => {
  const prefix = `system:serviceaccount:${settings.prefix}`;
  const audit = await createFaults(settings).audit(prefix);
  const used = new Map(PARTS.map((part) => [part, new Set<string>()]));
  const refused = new Set<string>();
  for (const entry of audit.filter(({ user }) => user.username.startsWith(prefix))) {
    const part = /:slimfaas-(\w+)$/.exec(entry.user.username)?.[1] ?? '';
    used.get(part)?.add(requestOf(entry));
    // Other releases of the run have lost their rights while they ended.
    const isShared = entry.user.username.startsWith(`system:serviceaccount:${system}:`);
    if (!isShared || entry.responseStatus?.code !== 403) continue;
    const refusal = `${part}: ${entry.responseStatus.message ?? requestOf(entry)}`;
    if (!GIVEN_BY_TENANTS.test(refusal)) refused.add(refusal);
  }
  const unused: string[] = [];
  for (const part of PARTS)
    for (const grant of await grantsOf(part))
      if (!used.get(part)?.has(grant) && !MAY_BE_UNUSED.has(grant)) unused.push(`${part}: ${grant}`);
  t.diagnostic(`${audit.length} entries in the audit log`);
  assert.deepEqual([...refused], []);
  assert.deepEqual(unused, []);
});
