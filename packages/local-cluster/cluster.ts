/**
 * A cluster on this machine: API server, controllers, scheduler, kubelet and services, put together. What runs
 * in it is no business of this file: everything else comes from manifests.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StopStack, type Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import { API_PORT, clusterAddresses, networkCandidates, type ClusterAddresses } from './addresses.ts';
import { startApiServer, type ApiFailures, type ApiServer } from './api/http/server.ts';
import type { ClusterApi, KubeObject } from './api/objects/types.ts';
import { applyManifests, parseManifests, readManifests } from './apply.ts';
import type { ControllerContext } from './controllers/context.ts';
import { startDeployments } from './controllers/workloads/deployment.ts';
import { startEndpoints } from './controllers/endpoints.ts';
import { createEventRecorder } from './controllers/events.ts';
import { startGarbageCollector } from './controllers/garbage.ts';
import { startNamespaceDefaults } from './controllers/namespaces.ts';
import { createNode, nodeNames } from './controllers/node.ts';
import { startReplicaSets } from './controllers/workloads/replicaset.ts';
import { startScheduler } from './controllers/scheduler.ts';
import { startStatefulSets } from './controllers/workloads/statefulset.ts';
import { drain, type NodeDrainOptions } from './drain.ts';
import type { KubeletFailures } from './kubelet/container/failures.ts';
import { createImageTable, type ImageOptions } from './kubelet/container/images.ts';
import { startKubelet, type Kubelet } from './kubelet/pods/kubelet.ts';
import type { LogEntry } from './kubelet/pods/kubelet-options.ts';
import { startServices, type Services } from './services/services.ts';

export interface ClusterOptions {
  readonly log: Log;
  readonly images: ImageOptions;
  readonly onLog?: (entry: LogEntry) => void;
  /** All on this machine; more than one for drains. 1 by default. */
  readonly nodes?: number;
  /** The base of restart back-off; 10 s as in a real kubelet. */
  readonly backoffBaseMs?: number;
}

export interface ClusterFailures extends ApiFailures, KubeletFailures {
  /** Pods that match are not scheduled, with this message; returns its release. */
  unschedulable(matches: (pod: KubeObject) => boolean, message?: string): () => void;
  /** SIGKILL; the kubelet restarts the containers. */
  killPod(namespace: string, pod: string, container?: string): void;
  /** As `kubectl drain`; resolves when the pods are gone. Returns the uncordon. */
  drain(options?: NodeDrainOptions): Promise<() => Promise<void>>;
}

export interface LocalCluster extends Running {
  readonly api: ClusterApi;
  readonly server: ApiServer;
  /** A file for `kubectl --kubeconfig`, with all rights. */
  readonly kubeconfigPath: string;
  readonly failures: ClusterFailures;
  /** Manifests as text. @throws UsageError */
  apply(yaml: string): Promise<void>;
  /** A file or folder. @throws UsageError */
  applyPath(path: string): Promise<void>;
  readonly publish: Services['publish'];
}

export async function startCluster(options: ClusterOptions): Promise<LocalCluster> {
  const { log } = options;
  // Pods have their grace periods.
  const stops = new StopStack(log, 60_000);
  try {
    return await start(options, stops);
  } catch (error) {
    await stops.stop();
    throw error;
  }
}

async function start(options: ClusterOptions, stops: StopStack): Promise<LocalCluster> {
  const { log } = options;
  const { server, addresses } = await claimNetwork(log);
  stops.add('API server', () => server.stop());
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-local-'));
  stops.add('temp folder', () => rm(dir, { recursive: true, force: true }));
  const { api } = server;
  const kubeconfigPath = join(dir, 'kubeconfig');
  await writeFile(kubeconfigPath, server.kubeconfig(), { mode: 0o600 });
  const nodes = nodeNames(options.nodes ?? 1);
  for (const name of nodes) await createNode(api, { name, address: addresses.host, now: Date.now() });
  await createApiService(api, addresses.host);
  const context: ControllerContext = { api, log, now: Date.now, events: createEventRecorder(api, 'local') };
  const { isPodAddress, allocateService } = addresses;
  const services = startServices({ api, log, isPodAddress, allocateIp: allocateService });
  stops.add('services', () => services.stop());
  const kubelet = startNodeKubelet({ options, server, addresses, dir, nodes });
  stops.add('kubelet', () => kubelet.stop());
  // Started last and stopped first: a controller that still ran would replace the pods that are being ended.
  for (const controller of startControllers(context)) stops.add('controller', () => controller.stop());
  const refusals = new Set<(pod: KubeObject) => string | undefined>();
  const refuse = (pod: KubeObject) => firstOf(refusals, (refusal) => refusal(pod));
  const scheduler = startScheduler(context, { nodeNames: nodes, refuse });
  stops.add('scheduler', () => scheduler.stop());
  server.attachRuntime({ resolveService: services.resolve, readLogs: kubelet.readLogs });
  return {
    api,
    server,
    kubeconfigPath,
    failures: createFailures({ server, kubelet, api, refusals, retry: () => scheduler.retry() }),
    apply: (yaml) => applyManifests(api, parseManifests(yaml, 'manifest')),
    applyPath: (path) => applyManifests(api, readManifests(path)),
    publish: services.publish,
    stop: () => stops.stop(),
  };
}

async function claimNetwork(log: Log): Promise<{ server: ApiServer; addresses: ClusterAddresses }> {
  for (const a of networkCandidates()) {
    const addresses = clusterAddresses(a);
    try {
      return { server: await startApiServer({ host: addresses.host, port: API_PORT, log }), addresses };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
  throw new Error('no free network in 127.16.0.0 to 127.250.0.0: stop another local cluster');
}

/** `kubernetes.default`, by which clients in pods find the API server. */
async function createApiService(api: ClusterApi, host: string): Promise<void> {
  const metadata = { name: 'kubernetes', namespace: 'default' } as KubeObject['metadata'];
  const spec = { clusterIP: host, ports: [{ name: 'https', port: API_PORT, targetPort: API_PORT }] };
  await api.create('services', { apiVersion: 'v1', kind: 'Service', metadata, spec });
}

function startControllers(context: ControllerContext): Running[] {
  return [
    startNamespaceDefaults(context),
    startDeployments(context),
    startReplicaSets(context),
    startStatefulSets(context),
    startEndpoints(context),
    startGarbageCollector(context),
  ];
}

interface NodeParts {
  readonly options: ClusterOptions;
  readonly server: ApiServer;
  readonly addresses: ClusterAddresses;
  readonly dir: string;
  readonly nodes: readonly string[];
}

function startNodeKubelet({ options, server, addresses, dir, nodes }: NodeParts): Kubelet {
  const { api } = server;
  const events = createEventRecorder(api, 'kubelet');
  return startKubelet({
    api,
    dir,
    nodeNames: nodes,
    hostIp: addresses.host,
    allocateIp: addresses.allocatePod,
    releaseIp: addresses.releasePod,
    images: createImageTable(options.images),
    kubeconfigFor: (namespace, name) => server.kubeconfig(`system:serviceaccount:${namespace}:${name}`),
    tokenFor: (...asked) => server.serviceAccountToken(...asked),
    event: (pod, type, reason, message) =>
      type === 'Normal' ? events.normal(pod, reason, message) : events.warning(pod, reason, message),
    onLog: options.onLog ?? (() => undefined),
    backoffBaseMs: options.backoffBaseMs,
    log: options.log,
  });
}

interface FailureParts {
  readonly server: ApiServer;
  readonly kubelet: Kubelet;
  readonly api: ClusterApi;
  readonly refusals: Set<(pod: KubeObject) => string | undefined>;
  readonly retry: () => void;
}

function createFailures({ server, kubelet, api, refusals, retry }: FailureParts): ClusterFailures {
  const { failures } = kubelet;
  return {
    ...server.failures,
    failPull: (image, message) => failures.failPull(image, message),
    crash: (container) => failures.crash(container),
    slowReadiness: (delayMs) => failures.slowReadiness(delayMs),
    unschedulable(matches, message = '1 Insufficient cpu') {
      const refusal = (pod: KubeObject) => (matches(pod) ? message : undefined);
      refusals.add(refusal);
      return () => {
        refusals.delete(refusal);
        retry();
      };
    },
    killPod: (namespace, pod, container) => kubelet.kill(namespace, pod, container),
    drain: (options) => drain(api, options),
  };
}

function firstOf<T, R>(items: Iterable<T>, of: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = of(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
