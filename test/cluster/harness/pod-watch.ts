/** The moments of a pod's life as the API server tells them, in this process's clock. */
import { request } from 'node:http';
import type { KubeObject } from './clients.ts';

export type Moment = 'created' | 'scheduled' | 'address' | 'app running' | 'sidecar running' | 'ready';

export interface PodWatch {
  /** When each was first seen; @returns what has been seen since the last call, and begins again */
  take(): Partial<Record<Moment, number>>;
  close(): void;
}

export function watchPods(apiUrl: string, namespace: string, labelSelector: string): Promise<PodWatch> {
  let seen: Partial<Record<Moment, number>> = {};
  const see = (pod: KubeObject): void => {
    for (const moment of momentsOf(pod)) seen[moment] ??= Date.now();
  };
  const url = new URL(`/api/v1/namespaces/${namespace}/pods`, apiUrl);
  url.search = new URLSearchParams({ watch: '1', labelSelector }).toString();
  return new Promise((resolve, reject) => {
    const req = request(url, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (text + chunk).split('\n');
        text = lines.pop() as string;
        for (const line of lines) {
          const { type, object } = JSON.parse(line) as { type: string; object: KubeObject };
          if (type !== 'DELETED' && object.metadata.deletionTimestamp === undefined) see(object);
        }
      });
      res.on('error', () => undefined);
      resolve({
        take() {
          const moments = seen;
          seen = {};
          return moments;
        },
        close: () => req.destroy(),
      });
    });
    req.on('error', reject).end();
  });
}

interface ContainerStatus {
  readonly name: string;
  readonly state: { readonly running?: object };
}

function momentsOf({ status = {} }: KubeObject): Moment[] {
  const conditions = (status.conditions ?? []) as { type: string; status: string }[];
  const isTrue = (type: string) => conditions.some((one) => one.type === type && one.status === 'True');
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const isRunning = (name: string) =>
    (containers as ContainerStatus[]).some((one) => one.name === name && one.state.running !== undefined);
  const moments: Moment[] = ['created'];
  if (isTrue('PodScheduled')) moments.push('scheduled');
  if (status.podIP !== undefined) moments.push('address');
  if (isRunning('app')) moments.push('app running');
  if (isRunning('slimfaas-sidecar')) moments.push('sidecar running');
  if (isTrue('Ready')) moments.push('ready');
  return moments;
}
