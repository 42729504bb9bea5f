/** A real proxy with a real nats-server and a fake Kubernetes API, and the few objects that a test puts there. */
import { silentLog } from '../../../common/runtime/log.ts';
import { encodeMessage } from '../../../common/bus/messages.ts';
import { createRegistry, type Registry } from '../../../common/runtime/metrics.ts';
import { openNatsLink, type NatsLink, type NatsLinkOptions } from '../../../common/bus/nats.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import { proxyFlags, type ProxyConfig } from '../../../proxy/flags.ts';
import { startProxy, type ProxyDeps, type RunningProxy } from '../../../proxy/start.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { startNats, type NatsOptions, type TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { FakeKube } from './fake-kube.ts';
import { FakePod, type FakePodOptions } from './fake-pod.ts';

export interface TestProxy extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly metricsUrl: string;
  readonly proxy: RunningProxy;
  readonly kube: FakeKube;
  readonly nats: TestNats;
  /** Another client of the same server. */
  readonly link: NatsLink;
  readonly registry: Registry;
  readonly config: ProxyConfig;
  /** A second proxy over the same cluster. */
  another(flags?: readonly string[]): Promise<RunningProxy & { url: string }>;
  addFunction(name: string, annotations?: Record<string, string>, extra?: FunctionExtra): void;
  /** A pod of a function, listening; ready for Kubernetes unless said otherwise. */
  addPod(fn: string, options?: PodOptions): Promise<FakePod>;
  /** Says something else of a pod that is there. */
  setPod(fn: string, name: string, ip: string, options?: PodState): void;
  sayReady(fn: string, pod: string, ip: string, state?: 'ready' | 'draining'): void;
  /** Waits until the status page knows so many ready pods. */
  readyPods(fn: string, count: number): Promise<void>;
}

export interface FunctionExtra {
  readonly replicas?: number;
  readonly namespace?: string;
  readonly kind?: 'Deployment' | 'StatefulSet';
  readonly status?: Record<string, unknown>;
  /** Of the workload itself. */
  readonly ownAnnotations?: Record<string, string>;
  /** Of its pod template. */
  readonly podSpec?: Record<string, unknown>;
}

export interface PodState {
  readonly isReady?: boolean;
  readonly hasSidecar?: boolean;
  readonly annotations?: Record<string, string>;
  readonly namespace?: string;
  readonly port?: number;
  readonly isTerminating?: boolean;
  readonly status?: Record<string, unknown>;
  readonly kind?: 'Deployment' | 'StatefulSet' | 'none';
  readonly uid?: string;
  /** Of its sidecar. */
  readonly token?: string;
  /** Keys of which its sidecar wants a proof. */
  readonly proxyKeys?: readonly string[];
}

export interface PodOptions extends FakePodOptions, PodState {
  readonly name?: string;
  /** Not listening: a pod whose address refuses. */
  readonly isDeaf?: boolean;
}

export interface TestProxyExtra extends Pick<ProxyDeps, 'resolve' | 'clock' | 'wallClock'> {
  readonly nats?: NatsOptions;
  /** Of the proxy's link, and of the test's own. */
  readonly links?: { readonly proxy?: Partial<NatsLinkOptions>; readonly test?: Partial<NatsLinkOptions> };
}

/** @param more what the proxy is given beside its flags, cluster and NATS */
export async function startTestProxy(
  flags: readonly string[] = [],
  { nats: natsOptions, links: as = {}, ...more }: TestProxyExtra = {},
): Promise<TestProxy> {
  const nats = await startNats(natsOptions);
  const kube = await FakeKube.start();
  const links: NatsLink[] = [];
  const pods: FakePod[] = [];
  const proxies: RunningProxy[] = [];
  const annotationsOf = new Map<string, Record<string, string>>();
  const base = [
    '--host=127.0.0.1',
    '--port=0',
    '--metrics-port=0',
    '--lame-duck=0',
    '--services-lame-duck=0',
    '--drain-timeout=5',
    '--operator-auth=off',
  ];
  const launch = async (extra: readonly string[]) => {
    const config = readFlags(proxyFlags, [...base, ...flags, ...extra], {});
    const registry = createRegistry('proxy', '0');
    const link = openNatsLink({ servers: nats.url, name: 'proxy', log: silentLog, ...as.proxy });
    links.push(link);
    const deps = { log: silentLog, kube: kube.clients, nats: link, registry, ...more };
    const proxy = await startProxy(config, deps);
    proxies.push(proxy);
    const url = `http://${config.host}:${proxy.port}`;
    await waitFor(async () => (await fetch(`${url}/ready`)).ok, { what: 'the proxy is ready' });
    return { proxy, registry, config, url };
  };
  const first = await launch([]);
  const link = openNatsLink({ servers: nats.url, name: 'test', log: silentLog, ...as.test });
  links.push(link);
  await waitFor(() => link.isConnected, { what: 'the test is connected to NATS' });
  let podCount = 0;

  const self: TestProxy = {
    ...first,
    port: first.proxy.port,
    metricsUrl: `http://127.0.0.1:${first.proxy.metricsPort}`,
    kube,
    nats,
    link,
    async another(extra = []) {
      const { proxy, url } = await launch(extra);
      return Object.assign(Object.create(proxy) as RunningProxy, { url });
    },
    addFunction(
      name,
      annotations = {},
      {
        replicas = 0,
        namespace = 'default',
        kind = 'Deployment',
        status,
        ownAnnotations = {},
        podSpec = {},
      } = {},
    ) {
      const all = { 'SlimFaas/Function': 'true', ...annotations };
      annotationsOf.set(name, all);
      kube.set({
        kind,
        metadata: { name, namespace, annotations: ownAnnotations },
        spec: {
          replicas,
          template: { metadata: { annotations: all }, spec: { containers: [], ...podSpec } },
        },
        status: status ?? {},
      });
    },
    async addPod(fn, options = {}) {
      const pod = new FakePod(ownAddress(), options);
      if (!options.isDeaf) await pod.listen();
      pods.push(pod);
      self.setPod(fn, options.name ?? `${fn}-abc-${++podCount}`, pod.ip, options);
      return pod;
    },
    setPod(fn, name, ip, options = {}) {
      kube.set(podObject({ fn, name, ip, functionAnnotations: annotationsOf.get(fn) ?? {}, ...options }));
    },
    sayReady(fn, pod, ip, state = 'ready') {
      const subject = functionSubject('ready', { namespace: 'default', name: fn });
      link.publish(subject, encodeMessage({ pod, ip, port: 15080, state }));
    },
    async readyPods(fn, count) {
      await waitFor(
        async () => {
          const response = await fetch(`${first.url}/status-function/${fn}`);
          const [status] = (await response.json()) as { NumberReady: number }[];
          return status?.NumberReady === count;
        },
        { what: `${count} pods of ${fn} are ready` },
      );
    },
    async [Symbol.asyncDispose]() {
      for (const proxy of proxies) await proxy.stop();
      for (const pod of pods) await pod[Symbol.asyncDispose]();
      for (const each of links) await each.stop();
      await kube[Symbol.asyncDispose]();
      await nats.stop();
    },
  };
  return self;
}

interface PodSpec extends PodState {
  readonly fn: string;
  readonly name: string;
  readonly ip: string;
  readonly functionAnnotations: Record<string, string>;
}

function sidecarContainer({ token, proxyKeys }: PodState) {
  const values = { SLIMFAAS_DRAIN_TOKEN: token, SLIMFAAS_PROXY_KEYS: proxyKeys?.join(',') };
  const env = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, value }],
  );
  return { name: 'slimfaas-sidecar', env };
}

function podObject(pod: PodSpec): Parameters<FakeKube['set']>[0] {
  const { fn, name, ip, kind = 'Deployment', isReady = true, hasSidecar = true } = pod;
  const ownerKind = { Deployment: 'ReplicaSet', StatefulSet: 'StatefulSet' } as const;
  const owner =
    kind === 'none'
      ? undefined
      : [
          {
            apiVersion: 'apps/v1',
            kind: ownerKind[kind],
            name: kind === 'Deployment' ? `${fn}-abc` : fn,
            uid: 'owner',
            controller: true,
          },
        ];
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace: pod.namespace ?? 'default',
      ...(pod.uid && { uid: pod.uid }),
      labels: { 'pod-template-hash': 'abc', 'slimfaas.dev/function': fn },
      annotations: {
        ...pod.functionAnnotations,
        ...pod.annotations,
      },
      ...(owner && { ownerReferences: owner }),
      ...(pod.isTerminating && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: {
      containers: [
        { name: 'app', ...(pod.port && { ports: [{ containerPort: pod.port }] }) },
        ...(hasSidecar ? [sidecarContainer(pod)] : []),
      ],
    },
    status: {
      phase: 'Running',
      ...(ip && { podIP: ip }),
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
      ...pod.status,
    },
  };
}
