/**
 * The EndpointSlice by which a Service leads to the proxies while its function sleeps: what the scaler writes and the
 * proxies read. Its ports are the proxies' own, one for each (Service, port). They stay as long as the slice, so the
 * slice stays also while it names no proxy.
 */
import type { V1EndpointSlice } from './client.ts';

const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
const MANAGED_BY = 'slimfaas.dev';
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** The namespace of the installation that wrote it: there may be several in a cluster. */
const INSTALLATION_LABEL = 'slimfaas.dev/installation';
const FUNCTION_ANNOTATION = 'slimfaas.dev/wakes';
const TARGETS_ANNOTATION = 'slimfaas.dev/target-ports';

/** One port of the Service. */
export interface WakePort {
  /** The name of the Service's port; '' for the only one. */
  readonly name: string;
  /** On every proxy. */
  readonly port: number;
  /** On the pods: a number, or a name that a container gives its port. */
  readonly target: string;
}

export interface WakeSlice {
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  /** The function's name. */
  readonly wakes: string;
  readonly ports: readonly WakePort[];
}

export function wakeSliceSelector(installation: string): string {
  return `${MANAGED_BY_LABEL}=${MANAGED_BY},${INSTALLATION_LABEL}=${installation}`;
}

export function wakeSliceName(service: string): string {
  return `${service}-slimfaas`;
}

export interface WakeMetadata {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
}

export function wakeMetadata(
  { service, wakes, ports }: Pick<WakeSlice, 'service' | 'wakes' | 'ports'>,
  installation: string,
): WakeMetadata {
  const targets = Object.fromEntries(ports.map(({ name, target }) => [name, target]));
  return {
    labels: {
      [SERVICE_NAME_LABEL]: service,
      [MANAGED_BY_LABEL]: MANAGED_BY,
      [INSTALLATION_LABEL]: installation,
    },
    annotations: { [FUNCTION_ANNOTATION]: wakes, [TARGETS_ANNOTATION]: JSON.stringify(targets) },
  };
}

/** What {@link wakeMetadata} writes, as it is in a slice: labels and annotations of others are left out. */
export function wakeFieldsOf({ metadata }: Pick<V1EndpointSlice, 'metadata'>): (string | undefined)[] {
  const { labels, annotations } = metadata ?? {};
  return [
    ...[SERVICE_NAME_LABEL, MANAGED_BY_LABEL, INSTALLATION_LABEL].map((name) => labels?.[name]),
    ...[FUNCTION_ANNOTATION, TARGETS_ANNOTATION].map((name) => annotations?.[name]),
  ];
}

/** Undefined for a slice that lacks what we write. */
export function readWakeSlice({ metadata, ports }: V1EndpointSlice): WakeSlice | undefined {
  const { namespace, name, labels, annotations } = metadata ?? {};
  const service = labels?.[SERVICE_NAME_LABEL];
  const wakes = annotations?.[FUNCTION_ANNOTATION];
  if (!namespace || !name || !service || !wakes) return undefined;
  const targets = readTargets(annotations?.[TARGETS_ANNOTATION]);
  const read = (ports ?? []).flatMap(({ name: portName = '', port }) => {
    const target = targets.get(portName);
    return port === undefined || target === undefined ? [] : [{ name: portName, port, target }];
  });
  return { namespace, name, service, wakes, ports: read };
}

function readTargets(text: string | undefined): Map<string, string> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    const entries = Object.entries((value ?? {}) as Record<string, unknown>);
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  } catch {
    return new Map();
  }
}
