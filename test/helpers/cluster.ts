/**
 * A local cluster for end-to-end tests: the production code as pods, from manifests/install.yaml, with the proxy
 * published on a free port. `await using` ends it, whatever the test did.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLog } from '../../common/runtime/log.ts';
import {
  startCluster,
  type LocalCluster,
  type ClusterOptions,
} from '../../packages/local-cluster/cluster.ts';
import type { LogEntry } from '../../packages/local-cluster/kubelet/pods/kubelet-options.ts';
import { readableLine } from '../../packages/local-cluster/log-lines.ts';
import { helmTemplate } from '../../manifests/helm.ts';
import { waitFor } from './wait.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface TestCluster extends LocalCluster, AsyncDisposable {
  /** What the containers wrote, for a test that failed and for one that reads it. */
  readonly logLines: readonly string[];
}

/** Shows operator routes an account that may use them. */
export function operatorHeaders({ server }: Pick<LocalCluster, 'server'>): Record<string, string> {
  const token = server.serviceAccountToken('slimfaas', 'slimfaas-operator', { audiences: ['slimfaas'] });
  return { authorization: `Bearer ${token}` };
}

export interface TestSystem extends TestCluster {
  /** `http://127.0.0.1:<port>` of the proxy. */
  readonly proxyUrl: string;
}

export async function startTestCluster(
  options: Partial<Pick<ClusterOptions, 'backoffBaseMs' | 'nodes'>> = {},
): Promise<TestCluster> {
  const logLines: string[] = [];
  const cluster = await startCluster({
    log: silentLog,
    images: {
      slimfaas: [process.execPath, `${root}dist/slimfaas.js`],
      demo: [process.execPath, `${root}manifests/demo/server.ts`],
    },
    onLog: (entry: LogEntry) => {
      logLines.push(readableLine(entry));
      if (process.env['SLIMFAAS_TEST_LOG']) console.log(readableLine(entry));
    },
    ...options,
  });
  return { ...cluster, logLines, [Symbol.asyncDispose]: () => cluster.stop() };
}

/** With everything of install.yaml up: the proxy ready, the webhook serving, a scaler leading. */
export async function startTestSystem({
  values,
  ...options
}: NonNullable<Parameters<typeof startTestCluster>[0]> & {
  /** Of the chart, instead of install.yaml. */
  readonly values?: object;
} = {}): Promise<TestSystem> {
  const cluster = await startTestCluster(options);
  try {
    const { host, port } = await cluster.publish(0, 'slimfaas', 'slimfaas-proxy', 5000);
    const proxyUrl = `http://${host}:${port}`;
    await install(cluster, values);
    await waitFor(() => isUp(cluster, proxyUrl), {
      what: 'proxy, scaler and webhook are ready',
      timeoutMs: 60_000,
    });
    return { ...cluster, proxyUrl };
  } catch (error) {
    console.error(cluster.logLines.slice(-50).join('\n'));
    await cluster.stop();
    throw error;
  }
}

async function install(cluster: LocalCluster, values: object | undefined): Promise<void> {
  if (!values) return cluster.applyPath(`${root}manifests/install.yaml`);
  const { stdout, stderr, code } = await helmTemplate({ createNamespace: true, ...values }, '--skip-tests');
  if (code !== 0) throw new Error(stderr);
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-install-'));
  try {
    await writeFile(join(dir, 'install.yaml'), stdout);
    await cluster.applyPath(join(dir, 'install.yaml'));
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function isUp({ api }: LocalCluster, proxyUrl: string): Promise<boolean> {
  const deployments = api.list('deployments', { namespace: 'slimfaas' });
  const isEachAvailable = deployments.every(
    (deployment) => (deployment['status']?.availableReplicas ?? 0) >= deployment['spec'].replicas,
  );
  if (!isEachAvailable) return false;
  const response = await fetch(`${proxyUrl}/ready`);
  await response.body?.cancel();
  return response.ok;
}
