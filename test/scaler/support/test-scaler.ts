/**
 * A real scaler against the real local API server and a real nats-server, and what a test says to it as a proxy,
 * a sidecar or a controller would. Nothing runs pods here: a test makes them ready itself.
 */
import { KubeConfig } from '@kubernetes/client-node';
import {
  AppsV1Api,
  AdmissionregistrationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
} from '@kubernetes/client-node';
import type { KubeClients } from '../../../common/kube/client.ts';
import { silentLog, type Log } from '../../../common/runtime/log.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import { readFlags } from '../../../common/runtime/flags.ts';
import type { ApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import { scalerFlags, type ScalerConfig } from '../../../scaler/flags.ts';
import { startScaler, type RunningScaler } from '../../../scaler/start.ts';
import { waitFor } from '../../helpers/wait.ts';

export interface TestScaler {
  readonly scaler: RunningScaler;
  readonly link: NatsLink;
  readonly url: string;
}

export interface TestScalerOptions {
  readonly api: ApiServer;
  readonly natsUrl: string;
  readonly flags?: Partial<ScalerConfig>;
  readonly log?: Log;
  readonly now?: () => number;
}

/** Tries in tenths of a second; a lease so long that no stall of this machine costs the leader its place. */
const QUICK = [
  '--tick',
  '0.05',
  '--host',
  '127.0.0.1',
  '--port',
  '0',
  '--retry-period',
  '0.2',
  '--operator-auth',
  'off',
];

export function clientsOf(api: Pick<ApiServer, 'kubeconfig'>): KubeClients {
  const config = new KubeConfig();
  config.loadFromString(api.kubeconfig());
  return {
    config,
    apps: config.makeApiClient(AppsV1Api),
    core: config.makeApiClient(CoreV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
    admission: config.makeApiClient(AdmissionregistrationV1Api),
    discovery: config.makeApiClient(DiscoveryV1Api),
  };
}

export async function startTestScaler(options: TestScalerOptions): Promise<TestScaler> {
  const { api, natsUrl, flags, log = silentLog, now } = options;
  const link = openNatsLink({ servers: natsUrl, name: 'scaler', log });
  const config = { ...readFlags(scalerFlags, QUICK, {}), ...flags };
  const registry = createRegistry('scaler', 'test');
  const kube = clientsOf(api);
  const scaler = await startScaler(config, { log, kube, nats: link, registry, ...(now ? { now } : {}) });
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return { scaler, link, url: `http://${host}:${scaler.port}` };
}

/** Waits until it is connected, in sync and, unless told otherwise, leading. */
export async function isWorking(test: TestScaler, { leads = true } = {}): Promise<void> {
  await waitFor(async () => test.link.isConnected && (await fetch(`${test.url}/ready`)).status === 200, {
    what: 'scaler connected and in sync',
  });
  if (leads) await waitFor(() => test.scaler.isLeader(), { what: 'scaler leads' });
}
