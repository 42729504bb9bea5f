/**
 * An API server with `install.yaml` in it, and webhooks in this process that are to it what their pods would be:
 * the same service account (so the same rights), reached through the same Service, over TLS with caBundle.
 */
import {
  AdmissionregistrationV1Api,
  AppsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
} from '@kubernetes/client-node';
import { readFlags } from '../../common/runtime/flags.ts';
import type { KubeClients, V1Pod } from '../../common/kube/client.ts';
import { silentLog, type Log } from '../../common/runtime/log.ts';
import { Registry } from '../../common/runtime/metrics.ts';
import { KINDS } from '../../packages/local-cluster/api/objects/kinds.ts';
import type { ApiServer } from '../../packages/local-cluster/api/http/server.ts';
import type { KubeObject } from '../../packages/local-cluster/api/objects/types.ts';
import { webhookFlags } from '../../webhook/flags.ts';
import { startWebhook, type RunningWebhook } from '../../webhook/start.ts';
import { configFor, startLocalApi, type AtEnd } from '../helpers/local-api.ts';
import { waitFor } from '../helpers/wait.ts';
import { readManifests } from '../manifests/manifests.ts';

export const WEBHOOK_ACCOUNT = 'system:serviceaccount:slimfaas:slimfaas-webhook';

/** What would run as pods is not needed here: no kubelet, no controllers. */
const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'PodDisruptionBudget']);

export interface WebhookCluster {
  readonly server: ApiServer;
  /** With the webhook's own rights. */
  readonly kube: KubeClients;
  /** Flags on top of those that a test needs: free ports, loopback, no delay at the end. */
  start(...flags: string[]): Promise<RunningWebhook>;
  /** Webhooks that the Service leads to, one after the other. */
  readonly endpoints: RunningWebhook[];
  /** As the API server has it, decoded. */
  caBundle(): string;
  createPod(pod: V1Pod): Promise<V1Pod>;
}

export async function startWebhookCluster(atEnd: AtEnd, log: Log = silentLog): Promise<WebhookCluster> {
  const server = await startLocalApi(atEnd);
  for (const manifest of readManifests('install.yaml').filter(({ kind }) => !WORKLOADS.has(kind)))
    await server.api.create(resourceOf(manifest.kind), manifest as unknown as KubeObject);
  const endpoints: RunningWebhook[] = [];
  let turn = 0;
  server.attachRuntime({
    resolveService(namespace, name) {
      const ready = endpoints.filter(({ port }) => port !== undefined);
      const port = ready[turn++ % ready.length]?.port;
      const isOurs = namespace === 'slimfaas' && name === 'slimfaas-webhook';
      return isOurs && port !== undefined ? { host: '127.0.0.1', port } : undefined;
    },
  });
  const kube = clientsFor(server, WEBHOOK_ACCOUNT);
  return {
    server,
    kube,
    endpoints,
    async start(...flags) {
      const always = ['--host=127.0.0.1', '--port=0', '--admin-port=0', '--stop-delay-seconds=0'];
      const config = readFlags(webhookFlags, [...always, '--certificate-check-seconds=0.1', ...flags], {});
      const webhook = await startWebhook(config, { log, kube, registry: new Registry() });
      atEnd(() => webhook.stop());
      endpoints.push(webhook);
      return webhook;
    },
    caBundle() {
      const found = server.api.get('mutatingwebhookconfigurations', undefined, 'slimfaas');
      return Buffer.from(String(found?.['webhooks'][0].clientConfig.caBundle ?? ''), 'base64').toString();
    },
    createPod: async (pod) =>
      (await server.api.create('pods', pod as unknown as KubeObject)) as unknown as V1Pod,
  };
}

export function resourceOf(kind: string): string {
  const found = KINDS.find((candidate) => candidate.kind === kind);
  if (!found) throw new Error(`the local API has no kind ${kind}`);
  return found.resource;
}

export function clientsFor(server: ApiServer, user: string): KubeClients {
  const config = configFor(server, user);
  return {
    config,
    apps: config.makeApiClient(AppsV1Api),
    core: config.makeApiClient(CoreV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
    admission: config.makeApiClient(AdmissionregistrationV1Api),
    discovery: config.makeApiClient(DiscoveryV1Api),
  };
}

export async function isReady(webhook: RunningWebhook): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${webhook.adminPort}/ready`)).status === 200;
}

export async function untilReady(webhook: RunningWebhook): Promise<void> {
  await waitFor(() => isReady(webhook), { what: 'the webhook is ready' });
}

export function annotatedPod(name: string, rest: { metadata?: object; spec?: object } = {}): V1Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', annotations: { 'SlimFaas/Function': 'true' }, ...rest.metadata },
    spec: { containers: [{ name: 'app', image: 'app:1', ports: [{ containerPort: 8080 }] }], ...rest.spec },
  };
}
