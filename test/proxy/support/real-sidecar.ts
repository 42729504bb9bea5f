/** The real sidecar beside an app on a loopback address of its own, as the kubelet would start it. */
import { readFlags } from '../../../common/runtime/flags.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { sidecarFlags } from '../../../common/function/sidecar-flags.ts';
import { startSidecar, type RunningSidecar } from '../../../sidecar/start.ts';
import type { TestProxy } from './test-proxy.ts';

export interface SidecarPlace {
  /** Of the pod. */
  readonly name: string;
  readonly ip: string;
  /** The app's. */
  readonly port: number;
  readonly flags?: readonly string[];
}

export async function startSidecarBeside(t: TestProxy, place: SidecarPlace): Promise<RunningSidecar> {
  const { name, ip, port, flags = [] } = place;
  const identity = ['--function=fib', '--namespace=default', `--pod-name=${name}`, `--pod-ip=${ip}`];
  const ports = [`--host=${ip}`, `--app-host=${ip}`, `--app-port=${port}`, '--drain-seconds=5'];
  const config = readFlags(sidecarFlags, [...identity, ...ports, ...flags], {});
  const nats = openNatsLink({ servers: t.nats.url, name, log: silentLog });
  return startSidecar(config, { log: silentLog, nats, registry: createRegistry('sidecar', '0') });
}
