/**
 * The real sidecar in this process, on free ports of 127.0.0.1, in front of a test's app: `await using` ends
 * it. Without NATS its link just never connects, which is a state that it must live with anyway.
 */
import { readFlags } from '../../../common/flags.ts';
import { silentLog } from '../../../common/log.ts';
import { createRegistry } from '../../../common/metrics.ts';
import { openNatsLink } from '../../../common/nats.ts';
import { sidecarFlags } from '../../../sidecar/flags.ts';
import { startSidecar, type RunningSidecar } from '../../../sidecar/start.ts';
import { waitFor } from '../../helpers/wait.ts';
import { call, type Answer, type CallOptions } from './client.ts';

/** A port on which nobody listens: the link keeps trying. */
const NO_NATS = 'nats://127.0.0.1:9';

export interface TestSidecar extends AsyncDisposable {
  readonly running: RunningSidecar;
  readonly port: number;
  readonly adminPort: number;
  call(path?: string, options?: CallOptions): Promise<Answer>;
  /** As a proxy sends it: refuse rather than queue. */
  proxyCall(path?: string, options?: CallOptions): Promise<Answer>;
  admin(path: string): Promise<Answer>;
  /** The value of one series of /metrics, summed over labels that contain `labels`. */
  metric(name: string, labels?: string): Promise<number>;
  stop(): Promise<void>;
}

export interface SidecarSettings {
  /** Beyond the defaults of the flags, by their names. */
  readonly flags?: Readonly<Record<string, string | number>>;
  /** Do not wait for the app's probe. */
  readonly noWait?: boolean;
}

export async function sidecarFor(appPort: number, settings: SidecarSettings = {}): Promise<TestSidecar> {
  const flags = {
    function: 'fn',
    namespace: 'ns',
    'pod-name': 'fn-1',
    host: '127.0.0.1',
    port: 0,
    'admin-port': 0,
    'app-port': appPort,
    nats: NO_NATS,
    'drain-seconds': 5,
    ...settings.flags,
  };
  const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const config = readFlags(sidecarFlags, argv, {});
  const nats = openNatsLink({ servers: config.nats, name: 'test', log: silentLog });
  const registry = createRegistry('sidecar', 'test');
  const running = await startSidecar(config, { log: silentLog, nats, registry });
  if (settings.noWait !== true) await running.appReady;
  return wrap(running);
}

function wrap(running: RunningSidecar): TestSidecar {
  const { port, adminPort } = running;
  const admin = (path: string) => call(adminPort, path);
  return {
    running,
    port,
    adminPort,
    call: (path = '/', options = {}) => call(port, path, options),
    proxyCall: (path = '/', options = {}) =>
      call(port, path, { ...options, headers: { 'slimfaas-queue': 'none', ...options.headers } }),
    admin,
    async metric(name, labels = '') {
      const { body } = await admin('/metrics');
      const lines = body.split('\n').filter((line) => line.startsWith(`${name}{`) && line.includes(labels));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    stop: () => running.stop(),
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

/** The sidecar's own count of a state, such as callers waiting, has become `value`. */
export function metricIs(sidecar: TestSidecar, name: string, value: number): Promise<unknown> {
  return waitFor(async () => (await sidecar.metric(name)) === value, { what: `${name} is ${value}` });
}
