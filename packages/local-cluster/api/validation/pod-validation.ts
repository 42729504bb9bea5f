/**
 * What is wrong with a pod's spec, wherever it stands (a pod or a workload's template). The mistakes that
 * people and webhooks make, not all that Kubernetes checks; field names and types are schema.ts's business.
 */
import { Causes, checkName, DNS_LABEL } from '../objects/causes.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { JsonObject } from '../http/json.ts';

type Item = [path: string, value: JsonObject];

/** The objects of a list with the path of each. */
function items(path: string, list: unknown): Item[] {
  if (!Array.isArray(list)) return [];
  return list.map((value, index) => [`${path}[${index}]`, isObject(value) ? value : {}]);
}

/** Items without the key are reported elsewhere, as lacking it. */
function checkUnique(causes: Causes, list: readonly Item[], key: string): void {
  const values = new Set<unknown>();
  for (const [path, value] of list) {
    if (value[key] === undefined) continue;
    if (values.has(value[key])) causes.duplicate(`${path}.${key}`, value[key]);
    values.add(value[key]);
  }
}

const PORT = [1, 65_535] as const;
const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc'] as const;
const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;
const IMAGE_PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const;
const PROBE_TIMES = ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'failureThreshold'] as const;

/** A number, or the name of a port that one of the container's own ports has. */
function checkPortReference(causes: Causes, path: string, port: unknown, names: ReadonlySet<unknown>): void {
  if (port === undefined) causes.required(path);
  else if (typeof port === 'number') causes.range(path, port, PORT);
  else if (!names.has(port)) causes.invalid(path, port, "must name one of the container's ports");
}

/** Two handlers would be ambiguous, none would probe nothing and pass forever. */
function checkProbe(causes: Causes, path: string, probe: JsonObject, names: ReadonlySet<unknown>): void {
  const handlers = HANDLERS.filter((handler) => probe[handler] !== undefined);
  if (handlers.length === 0) causes.required(path, 'must specify a handler type');
  for (const extra of handlers.slice(1)) {
    causes.forbidden(`${path}.${extra}`, 'may not specify more than 1 handler type');
  }
  for (const handler of ['httpGet', 'tcpSocket'] as const) {
    const action = probe[handler];
    if (isObject(action)) checkPortReference(causes, `${path}.${handler}.port`, action.port, names);
  }
  for (const time of PROBE_TIMES) causes.range(`${path}.${time}`, probe[time], [0, Infinity]);
}

/** Returns the names by which probes may refer to the ports. */
function checkPorts(causes: Causes, path: string, container: JsonObject): ReadonlySet<unknown> {
  const ports = items(`${path}.ports`, container.ports);
  for (const [at, port] of ports) {
    if (port.containerPort === undefined) causes.required(`${at}.containerPort`);
    causes.range(`${at}.containerPort`, port.containerPort, PORT);
    causes.oneOf(`${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
    const { name } = port;
    if (typeof name === 'string' && !/^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(name)) {
      const why = 'must be at most 15 lower case letters, digits or single hyphens, with at least one letter';
      causes.invalid(`${at}.name`, name, why);
    }
  }
  checkUnique(causes, ports, 'name');
  return new Set(ports.map(([, port]) => port.name).filter((name) => name !== undefined));
}

/** `500m`, `64Mi`, `1e3`, `0.5`; not `64 MB`. */
const QUANTITY = /^[+-]?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/;

function checkResources(causes: Causes, path: string, resources: unknown): void {
  if (!isObject(resources)) return;
  for (const side of ['limits', 'requests'] as const) {
    for (const [name, value] of Object.entries(resources[side] ?? {})) {
      const at = `${path}.${side}[${name}]`;
      if (!QUANTITY.test(String(value))) causes.invalid(at, value, `must match ${QUANTITY.source}`);
    }
  }
}

function checkMounts(
  causes: Causes,
  path: string,
  container: JsonObject,
  volumes: ReadonlySet<unknown>,
): void {
  const mounts = items(`${path}.volumeMounts`, container.volumeMounts);
  for (const [at, mount] of mounts) {
    if (!volumes.has(mount.name)) causes.missing(`${at}.name`, mount.name);
    if (!mount.mountPath) causes.required(`${at}.mountPath`);
  }
  checkUnique(causes, mounts, 'mountPath');
}

function checkContainer(causes: Causes, [path, container]: Item, volumes: ReadonlySet<unknown>): void {
  if (container.name === undefined || container.name === '') causes.required(`${path}.name`);
  else checkName(causes, `${path}.name`, container.name, DNS_LABEL);
  if (typeof container.image !== 'string' || container.image === '') causes.required(`${path}.image`);
  causes.oneOf(`${path}.imagePullPolicy`, container.imagePullPolicy, IMAGE_PULL_POLICIES);
  const portNames = checkPorts(causes, path, container);
  for (const probe of PROBES) {
    const value = container[probe];
    if (isObject(value)) checkProbe(causes, `${path}.${probe}`, value, portNames);
  }
  for (const [at, variable] of items(`${path}.env`, container.env)) {
    if (!variable.name) causes.required(`${at}.name`);
    if (variable.value && variable.valueFrom) {
      causes.invalid(`${at}.valueFrom`, '', 'may not be specified when `value` is not empty');
    }
  }
  checkResources(causes, `${path}.resources`, container.resources);
  checkMounts(causes, path, container, volumes);
}

/** Only a native sidecar (restartPolicy Always) among the init containers may have probes and hooks. */
function checkInitContainer(causes: Causes, [path, container]: Item): void {
  causes.oneOf(`${path}.restartPolicy`, container.restartPolicy, ['Always']);
  if (container.restartPolicy === 'Always') return;
  for (const field of [...PROBES, 'lifecycle']) {
    if (container[field] === undefined) continue;
    causes.forbidden(`${path}.${field}`, 'may not be set for init containers without restartPolicy=Always');
  }
}

export function checkPodSpec(causes: Causes, path: string, spec: JsonObject): void {
  const volumeItems = items(`${path}.volumes`, spec.volumes);
  for (const [at, volume] of volumeItems) if (!volume.name) causes.required(`${at}.name`);
  checkUnique(causes, volumeItems, 'name');
  const volumes = new Set(volumeItems.map(([, volume]) => volume.name));

  const containers = items(`${path}.containers`, spec.containers);
  const initContainers = items(`${path}.initContainers`, spec.initContainers);
  if (containers.length === 0) causes.required(`${path}.containers`);
  for (const item of [...containers, ...initContainers]) checkContainer(causes, item, volumes);
  for (const item of initContainers) checkInitContainer(causes, item);
  // One namespace for both lists: logs and exec name a container without saying which list it is in.
  checkUnique(causes, [...containers, ...initContainers], 'name');

  causes.oneOf(`${path}.restartPolicy`, spec.restartPolicy, ['Always', 'OnFailure', 'Never']);
  causes.range(`${path}.terminationGracePeriodSeconds`, spec.terminationGracePeriodSeconds, [0, Infinity]);
}
