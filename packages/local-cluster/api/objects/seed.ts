/** What every cluster is born with: its own namespaces, and the role of those who may do everything. */
import { MASTERS } from '../http/auth.ts';
import { kindOf } from './kinds.ts';
import { IN_PROCESS } from './request.ts';
import type { Registry } from './registry.ts';

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
const RBAC_GROUP = 'rbac.authorization.k8s.io';

export async function seed(registry: Registry): Promise<void> {
  const create = (resource: string, name: string, rest: object = {}) =>
    registry.create(kindOf(resource), { metadata: { name }, ...rest }, IN_PROCESS);
  for (const name of NAMESPACES) await create('namespaces', name);
  // Manifests bind people and robots to it by this name.
  const rules = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];
  await create('clusterroles', 'cluster-admin', { rules });
  await create('clusterrolebindings', 'cluster-admin', {
    roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: RBAC_GROUP, kind: 'Group', name: MASTERS }],
  });
}
