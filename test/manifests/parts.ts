/** The workloads of an installation as what they run: parts, their flags, and the variables that they find others by. */
import assert from 'node:assert/strict';
import type { FlagTable } from '../../common/runtime/flags.ts';
import type { V1Container } from '../../common/kube/client.ts';
import { proxyFlags } from '../../proxy/flags.ts';
import { scalerFlags } from '../../scaler/flags.ts';
import { webhookFlags } from '../../webhook/flags.ts';
import { templateOf, type Manifest } from './manifests.ts';

export const TABLES: Readonly<Record<string, FlagTable>> = {
  proxy: proxyFlags,
  scaler: scalerFlags,
  webhook: webhookFlags,
};

/** The one that does the work. Beside NATS with identities is one that tells it of changed files, and has no port. */
export function onlyContainer(workload: Manifest): V1Container {
  const [container, ...others] = templateOf(workload).spec?.containers ?? [];
  const isToldOfFiles = container?.args?.some((arg) => arg.startsWith('--pid=')) === true;
  assert.deepEqual(
    others.map(({ name, ports }) => [name, ports]),
    isToldOfFiles ? [['reload', undefined]] : [],
  );
  return container as V1Container;
}

/** `slimfaas <part>`: undefined for NATS. */
export function partOf(workload: Manifest): string | undefined {
  const [first] = templateOf(workload).spec?.containers[0]?.args ?? [];
  return first !== undefined && first in TABLES ? first : undefined;
}

export function serviceVariables(service: Manifest): Record<string, string> {
  const prefix = service.metadata.name.toUpperCase().replaceAll('-', '_');
  const { port, name } = service['spec'].ports[0] as { port: number; name: string };
  return {
    [`${prefix}_SERVICE_HOST`]: '10.96.0.10',
    [`${prefix}_SERVICE_PORT`]: String(port),
    [`${prefix}_SERVICE_PORT_${name.toUpperCase()}`]: String(port),
    [`${prefix}_PORT`]: `tcp://10.96.0.10:${port}`,
  };
}

export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\(([^)]+)\)/g, (whole, name: string) => variables[name] ?? whole);
}
