/** A NATS server without a volume, for releases that bring none: volumes are scarce on small clusters. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CHART } from '../../../manifests/helm.ts';
import type { Clients } from './clients.ts';
import { RESTRICTED } from './functions.ts';
import { makeNamespace } from './release.ts';
import type { RunContext } from './settings.ts';

/** @returns the URL by which pods reach it */
export async function openNats(clients: Clients, context: RunContext, namespace: string): Promise<string> {
  await makeNamespace(clients, context, namespace);
  const values = parse(await readFile(join(CHART, 'values.yaml'), 'utf8')) as { nats: { image: string } };
  const labels = { app: 'own-nats' };
  const metadata = { name: 'own-nats', namespace };
  const container = {
    name: 'nats',
    image: values.nats.image,
    args: ['--port', '4222', '--jetstream', '--store_dir', '/data'],
    readinessProbe: { tcpSocket: { port: 4222 }, periodSeconds: 1 },
    securityContext: RESTRICTED,
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
  };
  const pod = { containers: [container], volumes: [{ name: 'data', emptyDir: {} }] };
  await clients.apply(
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports: [{ port: 4222 }] } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
    },
  );
  await clients.kubectl(['rollout', 'status', '-n', namespace, 'deployment/own-nats', '--timeout=60s']);
  const service = await clients.get(`/api/v1/namespaces/${namespace}/services/own-nats`);
  return `nats://${String(service?.['spec'].clusterIP)}:4222`;
}
