/**
 * What every namespace has from the start, and claims that are bound as soon as they are made (the kubelet
 * turns them into folders).
 */
import type { KubeObject } from '../api/objects/types.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { ControllerContext } from './context.ts';
import { createWorkqueue } from './workqueue.ts';

export function startNamespaceDefaults({ api, log }: ControllerContext): Running {
  const accounts = createWorkqueue(
    'serviceaccounts',
    async (namespace) => {
      if (!api.get('namespaces', undefined, namespace)) return;
      if (api.get('serviceaccounts', namespace, 'default')) return;
      const metadata = { name: 'default', namespace } as KubeObject['metadata'];
      await api.create('serviceaccounts', { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    },
    log,
  );
  const claims = createWorkqueue(
    'claims',
    async (key) => {
      const [namespace = '', name = ''] = key.split('/');
      await api.modify('persistentvolumeclaims', namespace, name, bind, 'status');
    },
    log,
  );
  const unwatch = [
    api.watch('namespaces', (type, { metadata }) => {
      if (type !== 'DELETED') accounts.add(metadata.name);
    }),
    api.watch('serviceaccounts', (type, { metadata }) => {
      if (type === 'DELETED' && metadata.name === 'default') accounts.add(metadata.namespace ?? '');
    }),
    api.watch('persistentvolumeclaims', (type, { metadata }) => {
      if (type === 'ADDED') claims.add(`${metadata.namespace}/${metadata.name}`);
    }),
  ];
  return {
    async stop() {
      for (const release of unwatch) release();
      await Promise.all([accounts.stop(), claims.stop()]);
    },
  };
}

function bind(claim: KubeObject): false | undefined {
  if (claim.status?.phase === 'Bound') return false;
  const { accessModes = ['ReadWriteOnce'], resources } = claim.spec as {
    accessModes?: string[];
    resources?: { requests?: Record<string, string> };
  };
  claim.status = { phase: 'Bound', accessModes, capacity: { ...resources?.requests } };
  return undefined;
}
