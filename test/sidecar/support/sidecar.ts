/**
 * The real sidecar in front of a test's app: `await using` ends it. In this process on free ports, or as a process
 * of its own on an address of its own, as in a pod. Without NATS its link just never connects, which is a state that
 * it must live with anyway.
 */
import { readFlags } from '../../../common/runtime/flags.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { SIDECAR_ADMIN_PORT, SIDECAR_DATA_PORT } from '../../../common/function/names.ts';
import { openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import { sidecarFlags } from '../../../common/function/sidecar-flags.ts';
import { startSidecar } from '../../../sidecar/start.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { waitFor } from '../../helpers/wait.ts';
import { APP_HOST } from './app.ts';
import { call, type Answer, type CallOptions } from './client.ts';
import { startSidecarProcess, type SidecarFlags } from './sidecar-process.ts';

/** A port on which nobody listens: the link keeps trying. */
const NO_NATS = 'nats://127.0.0.1:9';

export interface TestSidecar extends AsyncDisposable {
  readonly port: number;
  readonly adminPort: number;
  call(path?: string, options?: CallOptions): Promise<Answer>;
  /** As a proxy sends it: refuse rather than queue. */
  proxyCall(path?: string, options?: CallOptions): Promise<Answer>;
  admin(path: string, options?: CallOptions): Promise<Answer>;
  /** The value of one series of /metrics, summed over labels that contain `labels`. */
  metric(name: string, labels?: string): Promise<number>;
  stop(): Promise<void>;
}

export interface SidecarSettings {
  /** Beyond the defaults of the flags, by their names. */
  readonly flags?: SidecarFlags;
  /** Do not wait for the app's probe. */
  readonly noWait?: boolean;
  /** As a process of its own, which takes half a second to start. */
  readonly isProcess?: boolean;
  /** Of a sidecar in this process; default: by its flags. */
  readonly link?: NatsLink;
}

export async function sidecarFor(appPort: number, settings: SidecarSettings = {}): Promise<TestSidecar> {
  const flags = {
    function: 'fn',
    namespace: 'ns',
    'pod-name': 'fn-1',
    'app-host': APP_HOST,
    'app-port': appPort,
    nats: NO_NATS,
    'drain-seconds': 5,
    ...settings.flags,
  };
  return settings.isProcess === true ? inProcess(flags, settings) : inHere(flags, settings);
}

async function inHere(flags: SidecarFlags, { noWait, link }: SidecarSettings): Promise<TestSidecar> {
  const all = { host: '127.0.0.1', port: 0, 'admin-port': 0, ...flags };
  const argv = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
  const config = readFlags(sidecarFlags, argv, {});
  const nats = link ?? openNatsLink({ servers: config.nats, name: 'test', log: silentLog });
  const registry = createRegistry('sidecar', 'test');
  const running = await startSidecar(config, { log: silentLog, nats, registry });
  if (noWait !== true) await running.appReady;
  return wrap({ ...running, host: '127.0.0.1' });
}

async function inProcess(flags: SidecarFlags, { noWait }: SidecarSettings): Promise<TestSidecar> {
  const host = ownAddress();
  const ports = { port: SIDECAR_DATA_PORT, 'admin-port': SIDECAR_ADMIN_PORT };
  const started = startSidecarProcess({ host, ...ports, ...flags });
  await started.hasLogged(noWait === true ? 'listening' : 'app ready');
  const where = { host, port: SIDECAR_DATA_PORT, adminPort: SIDECAR_ADMIN_PORT };
  // A drain takes 300 ms, which a test waits for only where it asks.
  return {
    ...wrap({ ...where, stop: () => started.kill('SIGTERM') }),
    [Symbol.asyncDispose]: () => started.kill(),
  };
}

interface Reachable {
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  stop(): Promise<void>;
}

function wrap({ host, port, adminPort, stop }: Reachable): TestSidecar {
  const admin = (path: string, options: CallOptions = {}) => call(adminPort, path, { host, ...options });
  return {
    port,
    adminPort,
    call: (path = '/', options = {}) => call(port, path, { host, ...options }),
    proxyCall: (path = '/', options = {}) =>
      call(port, path, { host, ...options, headers: { 'slimfaas-queue': 'none', ...options.headers } }),
    admin,
    async metric(name, labels = '') {
      const { body } = await admin('/metrics');
      const lines = body.split('\n').filter((line) => line.startsWith(`${name}{`) && line.includes(labels));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** The sidecar's own count of a state, such as callers waiting, has become `value`. */
export function metricIs(sidecar: TestSidecar, name: string, value: number): Promise<unknown> {
  return waitFor(async () => (await sidecar.metric(name)) === value, { what: `${name} is ${value}` });
}
