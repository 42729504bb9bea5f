/**
 * Our two hops as processes of their own, with everything real but Kubernetes: the proxy's is the tests' small one,
 * with one function whose pods are always ready. NATS is not there: warm calls need none.
 */
import { join } from 'node:path';
import { createNkey } from '../../common/identity/nkey.ts';
import { SIDECAR_ADMIN_PORT } from '../../common/function/names.ts';
import { sidecarMemory } from '../../webhook/inject/sidecar-resources.ts';
import { freePort, nodeCommand, startSubject, type Subject } from './subject.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'cli', 'main.ts');
const PROXY = join(import.meta.dirname, 'subjects', 'proxy.ts');
/** By which the sidecars of pods know our proxies, as where nobody else may call them. */
const PROXY_KEY = createNkey('user');
/** Where a proxy expects the sidecar of a pod. */
export const POD_PORT = 15_080;
/** How calls for the function of {@link startProxyHop} begin. */
export const FUNCTION = 'bench';

/** Addresses for pods, of this process alone. */
export function podAddresses(count: number): string[] {
  const block = `127.${100 + (process.pid % 100)}.${(process.pid >> 8) % 256}`;
  return Array.from({ length: count }, (_, i) => `${block}.${i + 1}`);
}

export interface SidecarHop {
  readonly host: string;
  readonly port: number;
  readonly appPort: number;
  readonly appHost?: string;
  readonly parallelPerPod?: number;
  /** As the pod that {@link startProxyHop} knows at this address, counted from 1: with its admin port too. */
  readonly pod?: number;
}

const ASKS_FOR_PROOF = { 'proxy-proof': 'required', 'proxy-keys': PROXY_KEY.publicKey };

/** A sidecar as it runs in a pod. */
export async function startSidecarHop(name: string, hop: SidecarHop): Promise<Subject> {
  const flags = {
    host: hop.host,
    port: hop.port,
    'admin-port': hop.pod === undefined ? await freePort() : SIDECAR_ADMIN_PORT,
    ...(hop.pod === undefined ? {} : { 'pod-name': podName(hop.pod), 'pod-ip': hop.host, ...ASKS_FOR_PROOF }),
    'app-host': hop.appHost ?? '127.0.0.1',
    'app-port': hop.appPort,
    function: FUNCTION,
    'parallel-per-pod': hop.parallelPerPod ?? 1_000,
    nats: await noNats(),
    'log-level': 'error',
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  const env = sidecarMemory();
  return startSubject(name, hop.port, { ...nodeCommand(MAIN, ['sidecar', ...args]), host: hop.host, env });
}

function podName(nth: number): string {
  return `${FUNCTION}-abc-${nth}`; // as in subjects/proxy.ts
}

/** A proxy in front of pods at `addresses`, which listen on {@link POD_PORT}. */
export async function startProxyHop(
  name: string,
  addresses: readonly string[],
  perPod = 1_000,
): Promise<Subject> {
  const port = await freePort();
  const args = [port, await noNats(), FUNCTION, addresses.join(','), perPod, PROXY_KEY.seed];
  const subject = await startSubject(name, port, nodeCommand(PROXY, args));
  return { ...subject, prefix: `/function/${FUNCTION}` };
}

async function noNats(): Promise<string> {
  return `nats://127.0.0.1:${await freePort()}`;
}

/** Several processes that are one thing to a caller, who talks to the first. */
export function joined(name: string, parts: readonly [Subject, ...Subject[]]): Subject {
  const sum = (pick: (subject: Subject) => number) => parts.reduce((total, part) => total + pick(part), 0);
  return {
    ...parts[0],
    name,
    cpuMicros: () => sum((part) => part.cpuMicros()),
    rssBytes: () => sum((part) => part.rssBytes()),
    async stop() {
      for (const part of parts) await part.stop();
    },
  };
}
