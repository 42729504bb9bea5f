/**
 * `slimfaas local`: the local cluster with the whole system in it, from the same manifests as a real one, a few
 * lines on what is where and what to try, and a readable log until it is stopped.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Running } from '../common/lifecycle.ts';
import type { Log } from '../common/log.ts';
import { startCluster, type Cluster } from './cluster.ts';
import type { LocalConfig } from './flags.ts';
import type { LogEntry } from './kubelet/kubelet.ts';
import { readableLine } from './log-lines.ts';

export interface LocalDeps {
  /** How a `slimfaas` process is started: Node and its script. */
  readonly entrypoint: readonly string[];
  /** The folder with `install.yaml` and `demo/`. */
  readonly manifestsDir: string;
  readonly log: Log;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

const NAMESPACE = 'slimfaas';
const PROXY = { service: 'slimfaas-proxy', port: 5000 };
const READY_TIMEOUT_MS = 60_000;

/** Resolves when the proxy answers. @throws when it does not within a minute, or a port is taken */
export async function startLocal(config: LocalConfig, deps: LocalDeps): Promise<Running> {
  const { print, manifestsDir } = deps;
  const demo = join(manifestsDir, 'demo');
  const cluster = await startCluster({
    log: deps.log,
    images: {
      slimfaas: deps.entrypoint,
      demo: [process.execPath, join(demo, 'server.ts')],
    },
    onLog: createPrinter(config, print),
  });
  try {
    await cluster.publish(config.port, NAMESPACE, PROXY.service, PROXY.port);
    const paths = [
      join(manifestsDir, 'install.yaml'),
      ...(config['no-demo'] ? [] : [demo]),
      ...config.manifests,
    ];
    for (const path of paths) await cluster.applyPath(path);
    const address = `http://127.0.0.1:${config.port}`;
    await untilReady(address, deps.signal);
    for (const line of welcome(address, cluster, !config['no-demo'])) print(line);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function createPrinter(config: LocalConfig, print: (line: string) => void): (entry: LogEntry) => void {
  return (entry) => {
    const isSystem = entry.pod.startsWith('slimfaas-nats');
    if (!isSystem || config['system-log']) print(readableLine(entry));
  };
}

/** The proxy's own word: NATS is connected and its watches are up. */
async function untilReady(address: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!signal.aborted) {
    const response = await fetch(`${address}/ready`, { signal }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    if (performance.now() > deadline)
      throw new Error(`${address}/ready does not answer; look at the log above`);
    await delay(50);
  }
}

function welcome(address: string, { kubeconfigPath, server }: Cluster, hasDemo: boolean): string[] {
  const demo = [
    `  curl ${address}/function/fibonacci1/hello/guillaume    wakes a function from zero`,
    `  curl ${address}/status-functions                       what there is, and how many run`,
    `  kubectl --kubeconfig ${kubeconfigPath} -n ${NAMESPACE} get pods -w`,
  ];
  return [
    '',
    `slimfaas is up: ${address}`,
    `  status page  ${address}/`,
    `  metrics      ${address}/metrics`,
    `  Kubernetes   ${server.url}`,
    `  kubeconfig   ${kubeconfigPath}`,
    ...(hasDemo ? ['', 'Try:', ...demo] : []),
    '',
    'Ctrl-C stops everything.',
    '',
  ];
}
