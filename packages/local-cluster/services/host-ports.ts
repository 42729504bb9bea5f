/**
 * Host ports: 127.0.0.1 instead of the node's address, for each pod that has an address, ready or not. A real node's
 * port mapping does the same. That no two pods want the same one is the scheduler's business.
 */
import type { Log } from '../../../common/runtime/log.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import { isTerminal, objectKey, splitKey } from '../controllers/workloads/objects.ts';
import { createWorkqueue } from '../controllers/workqueue.ts';
import type { Listeners, WantedListener } from './listeners.ts';

export function startHostPorts(api: ClusterApi, listeners: Listeners, log: Log): Running {
  const queue = createWorkqueue(
    'hostports',
    async (key) => {
      const { namespace, name } = splitKey(key);
      const pod = api.get('pods', namespace, name);
      await listeners.apply(`pod ${key}`, pod ? hostPortsOf(pod) : []);
    },
    log,
  );
  const known = new Set<string>();
  const unwatch = api.watch('pods', (type, pod) => {
    const key = objectKey(pod);
    // Nearly no pod has any: all others cost nothing.
    if (!known.has(key) && hostPortsOf(pod).length === 0) return;
    if (type === 'DELETED') known.delete(key);
    else known.add(key);
    queue.add(key);
  });
  return {
    async stop() {
      unwatch();
      await queue.stop();
    },
  };
}

function hostPortsOf(pod: KubeObject): WantedListener[] {
  const podIp = pod.status?.podIP as string | undefined;
  if (podIp === undefined || isTerminal(pod)) return [];
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers] as {
    ports?: { containerPort: number; hostPort?: number; protocol?: string }[];
  }[];
  return containers
    .flatMap(({ ports = [] }) => ports)
    .flatMap(({ containerPort, hostPort, protocol = 'TCP' }) => {
      if (!hostPort || protocol !== 'TCP') return [];
      const choose = () => ({ host: podIp, port: containerPort });
      return [{ host: '127.0.0.1', port: hostPort, purpose: `${podIp}:${containerPort}`, choose }];
    });
}
