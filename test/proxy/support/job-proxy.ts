/** A real proxy and a real JetStream, and real sidecars for its functions: jobs from the request to the result. */
import {
  callbacksConsumerConfig,
  CALLBACKS_STREAM,
  consumerConfig,
  streamConfigs,
} from '../../../common/queue/jetstream/streams.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { openNatsLink, type NatsLinkOptions } from '../../../common/bus/nats.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import type { JobView } from '../../../proxy/jobs/query.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { sidecarFor, type TestSidecar } from '../../sidecar/support/sidecar.ts';
import { callUrl, type Answer, type CallOptions } from './calls.ts';
import { startTestProxy, type TestProxy } from './test-proxy.ts';
import type { JobSettings } from '../../../common/queue/settings.ts';
import type { ConsumerConfig, JetStreamManager } from '../../../common/queue/jetstream/library.ts';

export interface JobProxy extends AsyncDisposable {
  readonly proxy: TestProxy;
  readonly jsm: JetStreamManager;
  /** A function and its consumer, as the scaler makes it; annotations without `SlimFaas/`. */
  addFunction(name: string, annotations?: Record<string, string>): Promise<void>;
  /** A pod's sidecar that runs the function's jobs, in front of an app. */
  sidecar(
    name: string,
    appPort: number,
    flags?: Record<string, string | number>,
    link?: Partial<NatsLinkOptions>,
  ): Promise<TestSidecar>;
  post(name: string, path: string, options?: CallOptions): Promise<Answer>;
  job(name: string, id: string, options?: CallOptions): Promise<Answer>;
  /** Waits for it. */
  ended(name: string, id: string, state?: JobView['state']): Promise<JobView>;
  admin(path: string, options?: CallOptions): Promise<Answer>;
  /** Jobs that are not finished. */
  depth(): Promise<number>;
}

export async function startJobProxy(
  flags: readonly string[] = [],
  settings: Partial<JobSettings> = {},
  more: Parameters<typeof startTestProxy>[1] = {},
): Promise<JobProxy> {
  const proxy = await startTestProxy(flags, more);
  const connection = await waitFor(() => proxy.link.connection, { what: 'connected' });
  const jsm = await connection.jetstreamManager();
  const all = { ...jobSettings, ...settings };
  for (const config of streamConfigs(all)) await jsm.streams.add(config);
  await jsm.consumers.add(CALLBACKS_STREAM, callbacksConsumerConfig());
  const sidecars: TestSidecar[] = [];
  const job = (name: string, id: string, options?: CallOptions): Promise<Answer> =>
    callUrl(`${proxy.url}/async-function-job/${name}/${id}`, options);
  return {
    proxy,
    jsm,
    job,
    async addFunction(name, annotations = {}) {
      const prefixed = Object.entries(annotations).map(([key, value]) => [`SlimFaas/${key}`, value]);
      proxy.addFunction(name, Object.fromEntries(prefixed));
      const id = { namespace: 'default', name };
      await jsm.consumers.add(JOBS_STREAM, consumerConfig(id, all, false) as ConsumerConfig);
      await waitFor(() => isKnown(proxy, name), {
        what: `the proxy knows ${name}`,
      });
    },
    async sidecar(name, appPort, more = {}, as) {
      const pod = `${name}-${sidecars.length + 1}`;
      const identity = { function: name, namespace: 'default', 'pod-name': pod, nats: proxy.nats.url };
      const sidecar = await sidecarFor(appPort, {
        flags: { ...identity, ...more },
        ...(as ? { link: openNatsLink({ servers: proxy.nats.url, name: pod, log: silentLog, ...as }) } : {}),
      });
      sidecars.push(sidecar);
      return sidecar;
    },
    post: (name, path, options = {}) =>
      callUrl(`${proxy.url}/async-function/${name}${path}`, { method: 'POST', ...options }),
    ended: (name, id, state = 'done') =>
      waitFor(
        async () => {
          const view = JSON.parse((await job(name, id)).text) as JobView;
          return view.state === state ? view : undefined;
        },
        { what: `job ${id} is ${state}` },
      ),
    admin: (path, options) => callUrl(`${proxy.metricsUrl}${path}`, options),
    async depth() {
      return (await jsm.streams.info(JOBS_STREAM)).state.messages;
    },
    async [Symbol.asyncDispose]() {
      for (const sidecar of sidecars) await sidecar.stop();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** A private function is unknown to callers from outside; the metrics port has it. */
async function isKnown(proxy: TestProxy, name: string): Promise<boolean> {
  const gauge = `slimfaas_proxy_waiting_requests{namespace="default",function="${name}"}`;
  return (await (await fetch(`${proxy.metricsUrl}/metrics`)).text()).includes(gauge);
}

export function elementIdOf(answer: Answer): string {
  const id = answer.headers['slimfaas-element-id'];
  if (typeof id !== 'string') throw new Error(`no element id in ${answer.status} ${answer.text}`);
  return id;
}
