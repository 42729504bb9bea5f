/** The rooms of the local cluster. */
import type { Line } from './line.ts';

export const LOCAL_CLUSTER: Readonly<Record<string, Line>> = {
  'packages/local-cluster/api': [
    'http/server.ts',
    'The API server: store, admission, watches',
    'HTTPS requests',
    'objects and events',
  ],
  'packages/local-cluster/controllers': [
    'context.ts',
    'Deployments, StatefulSets, endpoints, scheduler',
    'objects',
    'objects',
    'packages/local-cluster/api',
  ],
  'packages/local-cluster/kubelet': [
    'pods/kubelet.ts',
    'Pods as processes',
    'pods that are bound',
    'statuses and logs',
    'packages/local-cluster/api packages/local-cluster/controllers',
  ],
  'packages/local-cluster/services': [
    'services.ts',
    'Services as loopback listeners',
    'services and endpoints',
    'open ports',
    'packages/local-cluster/api packages/local-cluster/controllers',
  ],
};
