/**
 * The nodes, Ready for as long as the cluster runs: `local`, and for tests of drains `local-2` and so on, all of
 * them this machine. Their capacity is what manifests usually ask for many times over: nothing here is refused
 * for want of CPU or memory.
 */
import { release, totalmem } from 'node:os';
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import { timeText } from './workloads/objects.ts';

export function nodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (i === 0 ? 'local' : `local-${i + 1}`));
}

export async function createNode(
  api: ClusterApi,
  { name, address, now }: { name: string; address: string; now: number },
): Promise<void> {
  const metadata = {
    name,
    labels: {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
      'node-role.kubernetes.io/control-plane': '',
    },
  } as unknown as KubeObject['metadata'];
  await api.create('nodes', { apiVersion: 'v1', kind: 'Node', metadata, spec: {} });
  await api.modify(
    'nodes',
    undefined,
    name,
    (node) => {
      node.status = nodeStatus(name, address, now);
    },
    'status',
  );
}

function nodeStatus(name: string, address: string, now: number) {
  const at = timeText(now);
  const capacity = { cpu: '64', memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: '10000' };
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: at,
    lastTransitionTime: at,
  });
  return {
    capacity,
    allocatable: capacity,
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: name },
    ],
    conditions: [
      condition(
        'MemoryPressure',
        'False',
        'KubeletHasSufficientMemory',
        'kubelet has sufficient memory available',
      ),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
    ],
    nodeInfo: {
      kernelVersion: release(),
      osImage: 'processes of this machine',
      containerRuntimeVersion: `node://${process.versions.node}`,
      kubeletVersion: 'v1.32.0',
      operatingSystem: 'linux',
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    },
  };
}
