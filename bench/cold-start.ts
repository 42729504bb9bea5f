/**
 * What the system adds to a function's own start: from the first byte of a call at zero replicas to its answer,
 * part by part, in the local cluster with the production manifests. The function's own part is from the start of
 * its process to its "listening" line; everything else is ours (and the local kubelet's).
 */
import { fileURLToPath } from 'node:url';
import { silentLog } from '../common/runtime/log.ts';
import { SIDECAR_CONTAINER } from '../common/function/names.ts';
import type { KubeObject } from '../packages/local-cluster/api/objects/types.ts';
import { startCluster, type LocalCluster } from '../packages/local-cluster/cluster.ts';
import { functionManifest, NAMESPACE } from '../test/e2e/functions.ts';
import { send } from '../test/e2e/world.ts';
import { waitFor } from '../test/helpers/wait.ts';
import type { Bench, BenchOptions, Row } from './lib/bench.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const NAME = 'cold';

/** Moments of one wake, in milliseconds of one clock; in the order in which they usually come. */
const MOMENTS = [
  'scale patched',
  'pod created',
  'sidecar process started',
  'function process started',
  'sidecar listening',
  'function listening',
  'answered',
] as const;
type Moment = (typeof MOMENTS)[number];
type Wake = Partial<Record<Moment, number>>;

export const bench: Bench = {
  name: 'cold-start',
  describe: 'what the system adds to the first call at zero replicas, part by part',
  run,
};

async function run({ quick, say }: BenchOptions): Promise<Row[]> {
  const observer = new Observer();
  const cluster = await startCluster({
    log: silentLog,
    images: {
      slimfaas: [process.execPath, `${root}dist/slimfaas.js`],
      demo: [process.execPath, `${root}manifests/demo/server.ts`],
    },
    onLog: ({ pod, container, line }) => {
      if (!pod.startsWith(NAME) || !/listening/.test(line)) return;
      observer.mark(container === 'app' ? 'function listening' : 'sidecar listening');
    },
  });
  try {
    const proxyUrl = await install(cluster);
    const release = observe(cluster, observer);
    const wakes: Wake[] = [];
    for (let i = 0; i < (quick ? 10 : 40); i++) {
      wakes.push(await wakeOnce(cluster, observer, proxyUrl));
      if (i % 10 === 9) say(`${i + 1} wakes`);
    }
    release();
    return rowsOf(wakes.slice(1)); // the first one also fills the disk cache
  } finally {
    await cluster.stop();
  }
}

async function install(cluster: LocalCluster): Promise<string> {
  const { host, port } = await cluster.publish(0, NAMESPACE, 'slimfaas-proxy', 5000);
  await cluster.applyPath(`${root}manifests/install.yaml`);
  const proxyUrl = `http://${host}:${port}`;
  await cluster.apply(
    functionManifest({ name: NAME, annotations: { TimeoutSecondBeforeSetReplicasMin: 1 } }),
  );
  await waitFor(async () => (await fetch(`${proxyUrl}/ready`)).ok && isAvailable(cluster), {
    what: 'the system is up',
    timeoutMs: 60_000,
  });
  return proxyUrl;
}

function isAvailable({ api }: LocalCluster): boolean {
  return ['slimfaas-scaler', 'slimfaas-webhook'].every(
    (name) => (api.get('deployments', NAMESPACE, name)?.['status']?.availableReplicas ?? 0) === 2,
  );
}

/** The moments of the wake under way; each counts once. */
class Observer {
  #wake: Wake = {};
  #begun = 0;

  begin(): void {
    this.#wake = {};
    this.#begun = performance.now();
  }

  mark(moment: Moment): void {
    this.#wake[moment] ??= performance.now() - this.#begun;
  }

  get wake(): Wake {
    return this.#wake;
  }
}

/** Messages on NATS are not among the moments: only parts of slimfaas may read them, and a bench may not. */
function observe({ api }: LocalCluster, observer: Observer): () => void {
  const stops = [
    api.watch('deployments', (_, { metadata, spec }) => {
      if (metadata.name === NAME && spec.replicas > 0) observer.mark('scale patched');
    }),
    api.watch('pods', (_, pod) => {
      if (pod.metadata.labels?.['app'] !== NAME) return;
      observer.mark('pod created');
      if (isRunning(pod, (name) => name === SIDECAR_CONTAINER)) observer.mark('sidecar process started');
      if (isRunning(pod, (name) => name !== SIDECAR_CONTAINER)) observer.mark('function process started');
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function isRunning(pod: KubeObject, isMeant: (name: string) => boolean): boolean {
  const { initContainerStatuses = [], containerStatuses = [] } = pod['status'] ?? {};
  const statuses = [...initContainerStatuses, ...containerStatuses] as {
    name: string;
    state: { running?: object };
  }[];
  return statuses.some(({ name, state }) => isMeant(name) && state.running);
}

async function wakeOnce({ api }: LocalCluster, observer: Observer, proxyUrl: string): Promise<Wake> {
  const isAsleep = () =>
    api.list('pods', { namespace: NAMESPACE, labelSelector: `app=${NAME}` }).length === 0;
  await waitFor(isAsleep, { what: 'asleep at zero', timeoutMs: 30_000 });
  observer.begin();
  const { status, body } = await send(`${proxyUrl}/function/${NAME}/hello/x`);
  observer.mark('answered');
  if (status !== 200) throw new Error(`the function answered ${status}: ${body}`);
  return observer.wake;
}

function rowsOf(wakes: readonly Wake[]): Row[] {
  const rows: Row[] = [];
  const add = (name: string, values: readonly number[]) => {
    for (const [metric, part] of [
      ['p50', 0.5],
      ['p95', 0.95],
    ] as const) {
      rows.push({ case: name, metric, value: quantile(values, part), unit: 'ms' });
    }
  };
  for (const moment of MOMENTS)
    add(
      `until ${moment}`,
      wakes.flatMap((wake) => wake[moment] ?? []),
    );
  const own = (wake: Wake) => (wake['function listening'] ?? NaN) - (wake['function process started'] ?? NaN);
  add("the function's own start (process start to listening)", wakes.map(own));
  add(
    'added by the system (answered less the own start)',
    wakes.map((wake) => (wake.answered ?? NaN) - own(wake)),
  );
  add(
    'from the function listening to the answer',
    wakes.map((wake) => (wake.answered ?? NaN) - (wake['function listening'] ?? NaN)),
  );
  rows.push({ case: 'wakes', metric: 'count', value: wakes.length, unit: '' });
  return rows;
}

/** The smallest value that at least that part of all values does not exceed. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? NaN;
}
