/**
 * `slimfaas local`: the local cluster with the whole system in it, from the same manifests as a real one. It prints a
 * few lines on what is where and what to try, and a readable log until it is stopped.
 */
import { join } from 'node:path';
import { UsageError } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { ClusterApi } from './api/objects/types.ts';
import { applyManifests, readManifests } from './apply.ts';
import { startCluster, type LocalCluster } from './cluster.ts';
import type { LocalConfig } from './flags.ts';
import type { LogEntry } from './kubelet/pods/kubelet-options.ts';
import { readableLine } from './log-lines.ts';

export interface LocalDeps {
  /** How a `slimfaas` process is started: Node and its script. */
  readonly entrypoint: readonly string[];
  /** The folder with `install.yaml` and `demo/`. */
  readonly manifestsDir: string;
  /** The demo's program, which Node runs. */
  readonly demoServer: string;
  readonly log: Log;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

const NAMESPACE = 'slimfaas';
const PROXY = { service: 'slimfaas-proxy', port: 5000 };
const READY_TIMEOUT_MS = 60_000;

/**
 * Resolves when the proxy answers, or early when `signal` aborts; what it hands back is then as good for stopping.
 * @throws UsageError for a taken port or a bad manifest
 */
export async function startLocal(config: LocalConfig, deps: LocalDeps): Promise<LocalCluster> {
  const { print, manifestsDir, signal } = deps;
  const demo = join(manifestsDir, 'demo');
  const own = [join(manifestsDir, 'install.yaml'), ...(config['no-demo'] ? [] : [demo])];
  // Read before anything is started: a bad file is known at once.
  const manifests = [...own, ...config.manifests].flatMap(readManifests);
  const cluster = await startCluster({
    log: deps.log,
    images: {
      slimfaas: deps.entrypoint,
      demo: [process.execPath, deps.demoServer],
    },
    onLog: createPrinter(config, print),
  });
  try {
    const address = await publishProxy(cluster, config.port);
    if (!signal.aborted) await applyManifests(cluster.api, manifests);
    await untilReady(cluster, address, signal);
    if (!signal.aborted) for (const line of welcome(address, cluster, !config['no-demo'])) print(line);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function publishProxy(cluster: LocalCluster, wanted: number): Promise<string> {
  try {
    const { host, port } = await cluster.publish(wanted, NAMESPACE, PROXY.service, PROXY.port);
    return `http://${host}:${port}`;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used (${code})`;
    throw new UsageError(`port ${wanted} of 127.0.0.1 ${why}; choose another one with --port`, { cause });
  }
}

function createPrinter(config: LocalConfig, print: (line: string) => void): (entry: LogEntry) => void {
  return (entry) => {
    const isSystem = entry.pod.startsWith('slimfaas-nats');
    if (!isSystem || config['system-log']) print(readableLine(entry));
  };
}

/** The proxy reports it: NATS is connected and its watches are up. */
async function untilReady({ api }: LocalCluster, address: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!signal.aborted) {
    const response = await fetch(`${address}/ready`, { signal }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    const { isHopeless, lines } = troubles(api);
    if (isHopeless || performance.now() > deadline)
      throw new Error(`the system does not come up: ${lines.join('; ') || 'look at the log above'}`);
    await sleep(50, signal);
  }
}

/** What keeps the system's containers from running; hopeless: one whose program this machine lacks. */
function troubles(api: ClusterApi): { isHopeless: boolean; lines: string[] } {
  const pods = api.list('pods', { namespace: NAMESPACE });
  const ends = pods.flatMap(({ metadata, status }) =>
    ((status?.containerStatuses ?? []) as ContainerStatus[]).flatMap(({ state, lastState }) => {
      const end = state.terminated ?? lastState.terminated ?? state.waiting;
      return end?.message ? [{ ...end, pod: metadata.name }] : [];
    }),
  );
  return {
    isHopeless: ends.some(({ reason }) => reason === 'StartError'),
    lines: [...new Set(ends.map(({ pod, message }) => `${pod}: ${message}`))],
  };
}

interface ContainerStatus {
  readonly state: { readonly waiting?: EndedProcess; readonly terminated?: EndedProcess };
  readonly lastState: { readonly terminated?: EndedProcess };
}

interface EndedProcess {
  readonly reason: string;
  readonly message?: string;
}

function welcome(address: string, { kubeconfigPath, server }: LocalCluster, hasDemo: boolean): string[] {
  const demo = [
    `  curl ${address}/function/fibonacci1/hello/guillaume    wakes a function from zero`,
    `  curl ${address}/status-functions                       what there is, and how many run`,
    `  npx slimfaas status fibonacci1                         why it sleeps or runs; then query, jobs, call: --help`,
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
