/** A cluster as the commands use it: the one that kubectl would use, unless `--kubeconfig` or `--context` says another. */
import { existsSync } from 'node:fs';
import {
  AppsV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { ClusterFlags } from '../people-flags.ts';

export interface ReachedCluster {
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  readonly apps: AppsV1Api;
  readonly discovery: DiscoveryV1Api;
}

/** @throws UsageError naming the file or context that is not there, and the contexts there are */
export function loadCluster({
  kubeconfig,
  context,
}: Pick<ClusterFlags, 'kubeconfig' | 'context'>): ReachedCluster {
  const config = new KubeConfig();
  if (kubeconfig === '') config.loadFromDefault();
  else loadFile(config, kubeconfig);
  const known = config.getContexts().map(({ name }) => name);
  if (context !== '' && !known.includes(context))
    throw new UsageError(`--context: no context ${JSON.stringify(context)}; there are: ${known.join(', ')}`);
  if (context !== '') config.setCurrentContext(context);
  if (!config.getCurrentCluster())
    throw new UsageError('the kubeconfig names no cluster; use --kubeconfig, --context or KUBECONFIG');
  return {
    config,
    core: config.makeApiClient(CoreV1Api),
    apps: config.makeApiClient(AppsV1Api),
    discovery: config.makeApiClient(DiscoveryV1Api),
  };
}

function loadFile(config: KubeConfig, path: string): void {
  if (!existsSync(path)) throw new UsageError(`--kubeconfig: no file ${path}`);
  try {
    config.loadFromFile(path);
  } catch (cause) {
    throw new UsageError(`--kubeconfig: ${path} is no kubeconfig: ${describeError(cause)}`, { cause });
  }
}

/** As `kubectl rollout restart` does it. */
export async function rolloutRestart(
  { apps }: ReachedCluster,
  kind: 'Deployment' | 'StatefulSet',
  id: FunctionId,
): Promise<void> {
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
  const body = { spec: { template: { metadata: { annotations } } } };
  const request = { ...id, body, fieldManager: 'slimfaas-cli' };
  const options = setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch);
  if (kind === 'Deployment') await apps.patchNamespacedDeployment(request, options);
  else await apps.patchNamespacedStatefulSet(request, options);
}

export async function setReplicas(
  { apps }: ReachedCluster,
  kind: 'Deployment' | 'StatefulSet',
  { namespace, name }: FunctionId,
  replicas: number,
): Promise<void> {
  const request = { namespace, name, body: { spec: { replicas } }, fieldManager: 'slimfaas-cli' };
  const options = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
  if (kind === 'Deployment') await apps.patchNamespacedDeployment(request, options);
  else await apps.patchNamespacedStatefulSet(request, options);
}

/** One line for people, from whatever the client throws: what the API server said, or why it was not reached. */
export function kubeFault(error: unknown): string {
  const body = (error as { body?: unknown }).body;
  if (typeof body !== 'string') return describeError(error);
  try {
    return (JSON.parse(body) as { message?: string }).message ?? body;
  } catch {
    return body;
  }
}
