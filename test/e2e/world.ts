/**
 * What end-to-end tests see and do, the same for the local cluster and for a real one: apply, call, and watch
 * replicas and pods. Faults exist in the local cluster only.
 */
import type { KubeObject } from '../../packages/local-cluster/api/objects/types.ts';
import { send, type Answer, type CallInit } from '../helpers/send.ts';
import { startTestSystem, type TestSystem } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';
import { functionManifest, NAMESPACE, type FunctionManifest } from './functions.ts';

export { send, type Answer, type CallInit };

/** What the demo's `/work/<ms>` answers. */
export interface Work {
  readonly pod: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly running: number;
}

export interface World extends AsyncDisposable {
  readonly system: TestSystem;
  /** Applies a function and waits until the proxy knows it. */
  deploy(fn: FunctionManifest): Promise<void>;
  call(name: string, path: string, init?: CallInit): Promise<Answer>;
  /** `/function/<name>/work/<ms>`; fails on any status but 200. */
  work(name: string, ms: number): Promise<Work>;
  /** Callers that wait in the proxy. */
  waiting(name: string): Promise<number>;
  replicas(name: string): number;
  /** Of a function, those that are not being deleted. */
  pods(name: string): KubeObject[];
  /** Those too. */
  allPods(name: string): KubeObject[];
  /** Every change of spec.replicas from now on, in order. */
  recordReplicas(name: string): { readonly seen: number[]; stop(): void };
  waitForReplicas(name: string, count: number, timeoutMs?: number): Promise<void>;
  waitForReady(name: string, count: number, timeoutMs?: number): Promise<void>;
}

export async function startWorld(options: Parameters<typeof startTestSystem>[0] = {}): Promise<World> {
  const system = await startTestSystem(options);
  return createWorld(system);
}

/** @param namespace of the functions; in another one than the proxy's they are called `name.namespace` */
export function createWorld(system: TestSystem, namespace = NAMESPACE): World {
  const { api, proxyUrl } = system;
  const routeName = (name: string) => (namespace === NAMESPACE ? name : `${name}.${namespace}`);
  const workload = (name: string) =>
    api.get('deployments', namespace, name) ?? api.get('statefulsets', namespace, name);
  const replicas = (name: string) => (workload(name)?.['spec'].replicas ?? 0) as number;
  const ready = (name: string) => (workload(name)?.['status']?.readyReplicas ?? 0) as number;
  const allPods = (name: string) => api.list('pods', { namespace, labelSelector: `app=${name}` });
  const call = (name: string, path: string, init: CallInit = {}) =>
    send(`${proxyUrl}/function/${routeName(name)}${path}`, init);
  return {
    system,
    async deploy(fn) {
      await system.apply(functionManifest({ namespace, ...fn }));
      const url = `${proxyUrl}/status-function/${routeName(fn.name)}`;
      await waitFor(async () => (await send(url)).status === 200, { what: `the proxy knows ${fn.name}` });
    },
    call,
    async work(name, ms) {
      const { status, body } = await call(name, `/work/${ms}`);
      if (status !== 200) throw new Error(`${name}: ${status} ${body}`);
      return JSON.parse(body) as Work;
    },
    async waiting(name) {
      const [status] = JSON.parse((await send(`${proxyUrl}/status-function/${routeName(name)}`)).body) as {
        Waiting: number;
      }[];
      return status?.Waiting ?? 0;
    },
    replicas,
    pods: (name) => allPods(name).filter((pod) => pod.metadata.deletionTimestamp === undefined),
    allPods,
    recordReplicas(name) {
      const seen: number[] = [];
      const stops = ['deployments', 'statefulsets'].map((resource) =>
        api.watch(resource, (_, object) => {
          const { metadata } = object;
          const isIt = metadata.name === name && metadata.namespace === namespace;
          if (isIt && seen.at(-1) !== object['spec'].replicas) seen.push(object['spec'].replicas);
        }),
      );
      return { seen, stop: () => stops.forEach((stop) => stop()) };
    },
    async waitForReplicas(name, count, timeoutMs = 20_000) {
      await waitFor(() => replicas(name) === count, { what: `${name} has ${count} replicas`, timeoutMs });
    },
    async waitForReady(name, count, timeoutMs = 30_000) {
      await waitFor(() => ready(name) === count, { what: `${name} has ${count} ready replicas`, timeoutMs });
    },
    [Symbol.asyncDispose]: () => system.stop(),
  };
}

/** The largest number of pieces of work that ran at the same time. Ends count before starts of the same moment. */
export function mostAtOnce(works: readonly Pick<Work, 'startedAt' | 'endedAt'>[]): number {
  const events = works.flatMap(({ startedAt, endedAt }) => [
    { at: startedAt, change: 1 },
    { at: endedAt, change: -1 },
  ]);
  let running = 0;
  let most = 0;
  for (const { change } of events.toSorted((a, b) => a.at - b.at || a.change - b.change)) {
    running += change;
    most = Math.max(most, running);
  }
  return most;
}
