/**
 * A container's environment, in the order in which a real kubelet builds it. First come variables of the services,
 * then envFrom, then env. Each may name what came before it.
 */
import { availableParallelism, totalmem } from 'node:os';
import type { ClusterApi, KubeObject } from '../../api/objects/types.ts';
import { parseQuantity } from '../../../../common/function/quantity.ts';
import { expandVariables } from './expansion.ts';
import { specOf, type ContainerSpec, type EnvFrom, type EnvVar, type KeySelector } from '../pods/pod-spec.ts';

/** A container that cannot be made from what is there; the kubelet tries again until it can. */
export class ConfigError extends Error {
  readonly code = 'CreateContainerConfigError';
}

type Variables = Record<string, string>;

export interface PodAddresses {
  readonly podIp: string;
  readonly hostIp: string;
}

/** @throws ConfigError for a reference to something that does not exist */
export function containerEnv(
  api: ClusterApi,
  pod: KubeObject,
  container: ContainerSpec,
  addresses: PodAddresses,
): Variables {
  const namespace = pod.metadata.namespace ?? 'default';
  const services = serviceVariables(api, namespace, specOf(pod).enableServiceLinks ?? true);
  const env: Variables = {};
  for (const source of container.envFrom ?? []) Object.assign(env, importAll(api, namespace, source));
  for (const variable of container.env ?? []) {
    const value = valueOf(api, pod, { variable, container, known: { ...services, ...env }, addresses });
    if (value !== undefined) env[variable.name] = value;
  }
  return { ...services, ...env };
}

interface Lookup {
  readonly variable: EnvVar;
  readonly container: ContainerSpec;
  readonly known: Variables;
  readonly addresses: PodAddresses;
}

function valueOf(api: ClusterApi, pod: KubeObject, lookup: Lookup): string | undefined {
  const { variable, container, known, addresses } = lookup;
  const { value, valueFrom } = variable;
  if (!valueFrom) return expandVariables(value ?? '', known);
  const namespace = pod.metadata.namespace ?? 'default';
  if (valueFrom.fieldRef) return fieldValue(pod, valueFrom.fieldRef.fieldPath, addresses);
  if (valueFrom.resourceFieldRef) return resourceValue(pod, container, valueFrom.resourceFieldRef);
  if (valueFrom.secretKeyRef) return keyValue(api, 'secrets', namespace, valueFrom.secretKeyRef);
  if (valueFrom.configMapKeyRef) return keyValue(api, 'configmaps', namespace, valueFrom.configMapKeyRef);
  return undefined;
}

/** `metadata.labels['x']`, `status.podIP`, `spec.nodeName` … */
export function fieldValue(pod: KubeObject, path: string, { podIp, hostIp }: PodAddresses): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] as string] ?? '';
  const spec = specOf(pod);
  const fields: Record<string, string | undefined> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace,
    'metadata.uid': pod.metadata.uid,
    'metadata.labels': keyValueLines(pod.metadata.labels),
    'metadata.annotations': keyValueLines(pod.metadata.annotations),
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.podIP': podIp,
    'status.podIPs': podIp,
    'status.hostIP': hostIp,
    'status.hostIPs': hostIp,
  };
  if (!Object.hasOwn(fields, path)) throw new ConfigError(`fieldPath ${path} is not supported`);
  return fields[path] ?? '';
}

function keyValueLines(map: Record<string, string> = {}): string {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}

/** Without a limit the node's own capacity, as a real kubelet says. */
function resourceValue(
  pod: KubeObject,
  self: ContainerSpec,
  { containerName, resource, divisor = '1' }: { containerName?: string; resource: string; divisor?: string },
): string {
  const { containers, initContainers = [] } = specOf(pod);
  const container = containerName
    ? [...containers, ...initContainers].find((candidate) => candidate.name === containerName)
    : self;
  const [kind, name] = resource.split('.') as ['limits' | 'requests', string];
  const text = container?.resources?.[kind]?.[name];
  const capacity = name === 'cpu' ? availableParallelism() : name === 'memory' ? totalmem() : 0;
  const amount = text === undefined ? (kind === 'limits' ? capacity : 0) : quantityOf(text);
  const unit = divisor === '0' ? 1 : quantityOf(divisor);
  return String(Math.ceil(amount / unit - 1e-9));
}

function quantityOf(text: string): number {
  const value = parseQuantity(text);
  if (value === undefined) throw new RangeError(`not a quantity: ${JSON.stringify(text)}`);
  return value;
}

/** The decoded entries of a Secret or ConfigMap; undefined when there is none of that name. */
export function dataOf(
  api: ClusterApi,
  resource: 'secrets' | 'configmaps',
  namespace: string,
  name: string,
): Map<string, Buffer> | undefined {
  const object = api.get(resource, namespace, name);
  if (!object) return undefined;
  const encoded = Object.entries((resource === 'secrets' ? object.data : object.binaryData) ?? {});
  const entries = encoded.map(([key, text]) => [key, Buffer.from(text as string, 'base64')] as const);
  if (resource === 'secrets') return new Map(entries);
  const plain = Object.entries((object.data ?? {}) as Variables);
  return new Map([...entries, ...plain.map(([key, text]) => [key, Buffer.from(text)] as const)]);
}

function keyValue(
  api: ClusterApi,
  resource: 'secrets' | 'configmaps',
  namespace: string,
  { name, key, optional }: KeySelector,
): string | undefined {
  const data = dataOf(api, resource, namespace, name);
  const value = data?.get(key)?.toString();
  if (value !== undefined || optional) return value;
  const kind = resource === 'secrets' ? 'secret' : 'configmap';
  if (!data) throw new ConfigError(`${kind} "${name}" not found`);
  throw new ConfigError(`couldn't find key ${key} in ${kind} ${namespace}/${name}`);
}

function importAll(api: ClusterApi, namespace: string, source: EnvFrom): Variables {
  const resource = source.secretRef ? 'secrets' : 'configmaps';
  const reference = source.secretRef ?? source.configMapRef;
  if (!reference) return {};
  const data = dataOf(api, resource, namespace, reference.name);
  if (!data && !reference.optional)
    throw new ConfigError(`${source.secretRef ? 'secret' : 'configmap'} "${reference.name}" not found`);
  const entries = [...(data ?? [])].map(([key, value]) => [`${source.prefix ?? ''}${key}`, value.toString()]);
  return Object.fromEntries(entries) as Variables;
}

/** `NAME_SERVICE_HOST` and its older sisters, of the services that have a cluster address by now. */
function serviceVariables(api: ClusterApi, namespace: string, withLinks: boolean): Variables {
  const master = api.get('services', 'default', 'kubernetes');
  const own = withLinks ? api.list('services', { namespace }) : [];
  const services = [...(master ? [master] : []), ...own];
  return Object.assign({}, ...services.map(variablesOf)) as Variables;
}

function variablesOf(service: KubeObject): Variables {
  const host = service.spec.clusterIP as string | undefined;
  const ports = (service.spec.ports ?? []) as { name?: string; port: number; protocol?: string }[];
  const first = ports[0];
  if (!host || host === 'None' || !first) return {};
  const prefix = envPrefix(service.metadata.name);
  const env: Variables = {
    [`${prefix}_SERVICE_HOST`]: host,
    [`${prefix}_SERVICE_PORT`]: String(first.port),
    [`${prefix}_PORT`]: `${(first.protocol ?? 'TCP').toLowerCase()}://${host}:${first.port}`,
  };
  for (const { name, port, protocol = 'TCP' } of ports) {
    const link = `${prefix}_PORT_${port}_${protocol}`;
    if (name) env[`${prefix}_SERVICE_PORT_${envPrefix(name)}`] = String(port);
    env[link] = `${protocol.toLowerCase()}://${host}:${port}`;
    Object.assign(env, {
      [`${link}_PROTO`]: protocol.toLowerCase(),
      [`${link}_PORT`]: String(port),
      [`${link}_ADDR`]: host,
    });
  }
  return env;
}

function envPrefix(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}
