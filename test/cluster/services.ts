/** Services of functions with slimfaas.dev/services: wake, and where they lead. */
import { setTimeout as delay } from 'node:timers/promises';
import { until, type Deployed, type World } from './harness/world.ts';

export const WAKE = { 'slimfaas.dev/services': 'wake' };

/** A new Service's address refuses until kube-proxy has written its rules, which nobody tells. */
const KUBE_PROXY_MS = 3_000;

interface WrittenEndpoint {
  readonly addresses: readonly string[];
  readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean };
  readonly nodeName?: string;
}

export interface ServicesOf {
  /** Disposing deletes it. */
  add(name: string, spec?: Record<string, unknown>): Promise<AsyncDisposable>;
  urlOf(name: string, path?: string): string;
  slicePath(name: string): string;
  /** What our slice has; undefined: there is no slice. */
  endpoints(name: string): Promise<readonly WrittenEndpoint[] | undefined>;
  /** New connections go to the proxies, and kube-proxy knows it. */
  leadsToProxies(name: string): Promise<void>;
  /** The proxies only stand behind the pods. */
  leadsToPods(name: string): Promise<void>;
  /** Where a Service gave the port of every node: `http://node:port/hello`. */
  nodeUrl(name: string, node: string): Promise<string>;
}

export function servicesOf(world: World): ServicesOf {
  const { namespace } = world;
  const servicePath = (name: string): string => `/api/v1/namespaces/${namespace}/services/${name}`;
  const slicePath = (name: string): string =>
    `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices/${name}-slimfaas`;
  const endpoints = async (name: string) => {
    const slice = await world.get(slicePath(name));
    return slice && ((slice['endpoints'] as WrittenEndpoint[] | null | undefined) ?? []);
  };
  const leads = async (name: string): Promise<boolean | undefined> =>
    (await endpoints(name))?.some(({ conditions }) => conditions.ready);
  return {
    async add(name, spec = {}) {
      const ports = [{ port: 80, targetPort: 5000 }];
      const metadata = { name, namespace };
      await world.apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata,
        spec: { selector: { app: name }, ports, ...spec },
      });
      return { [Symbol.asyncDispose]: async () => void (await world.send('DELETE', servicePath(name))) };
    },
    urlOf: (name, path = '/hello') => `http://${name}.${namespace}${path}`,
    slicePath,
    endpoints,
    async leadsToProxies(name) {
      await until(async () => (await leads(name)) === true, `${name} leads to the proxies`);
      await delay(KUBE_PROXY_MS);
    },
    async leadsToPods(name) {
      await until(async () => (await leads(name)) === false, `${name} leads to its pods alone`);
      await delay(KUBE_PROXY_MS);
    },
    async nodeUrl(name, node) {
      const service = await world.get(servicePath(name));
      return `http://${node}:${service?.['spec'].ports[0].nodePort}/hello`;
    },
  };
}

/** As somebody does it who is not slimfaas, in the midst of calls. Whoever calls wakes it again at once. */
export async function putToSleep(world: World, fn: Deployed): Promise<void> {
  const names = new Set((await fn.pods()).map(({ metadata }) => metadata.name));
  await world.kubectl(['scale', '--replicas=0', `deployment/${fn.name}`, '-n', world.namespace]);
  const isOver = async () => (await fn.pods()).every(({ metadata }) => !names.has(metadata.name));
  await until(isOver, `the pods of ${fn.name} end`);
}

/** It falls asleep by itself, and its pods are gone. */
export async function sleeps(fn: Deployed): Promise<void> {
  await fn.waitForReplicas(0, 60_000);
  await until(async () => (await fn.allPods()).length === 0, `the pods of ${fn.name} are gone`, 60_000);
}
