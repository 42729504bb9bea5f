/**
 * That what a review carries has the shape of a pod, as far as it is read here. API servers send nothing else, but anyone
 * in the cluster can reach the port: nonsense gets an answer that says where it is. Pure.
 */
import { isObject } from '../../common/runtime/is-object.ts';

export type Shape =
  | 'text'
  /** A text that the API server never leaves out, and the code reads without a look. */
  | 'given text'
  | 'number'
  | 'boolean'
  | 'object'
  | 'number or text'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly fields: Readonly<Record<string, Shape>> };

const RESOURCES: Shape = {
  fields: { requests: { map: 'number or text' }, limits: { map: 'number or text' } },
};

const PROBE: Shape = {
  fields: {
    httpGet: { fields: { port: 'number or text', host: 'text', scheme: 'text', path: 'text' } },
    tcpSocket: { fields: { port: 'number or text', host: 'text' } },
    grpc: { fields: { port: 'number', service: 'text' } },
    exec: 'object',
    initialDelaySeconds: 'number',
  },
};

const CONTAINER: Shape = {
  fields: {
    name: 'text',
    restartPolicy: 'text',
    ports: { list: { fields: { name: 'text', containerPort: 'number', protocol: 'text' } } },
    env: { list: { fields: { name: 'text', value: 'text' } } },
    resources: RESOURCES,
    lifecycle: { fields: { postStart: 'object', preStop: 'object' } },
    startupProbe: PROBE,
    readinessProbe: PROBE,
    livenessProbe: PROBE,
  },
};

const POD: Shape = {
  fields: {
    metadata: {
      fields: {
        name: 'text',
        generateName: 'text',
        namespace: 'text',
        annotations: { map: 'text' },
        labels: { map: 'text' },
        ownerReferences: {
          list: { fields: { kind: 'given text', name: 'given text', controller: 'boolean' } },
        },
      },
    },
    spec: {
      fields: {
        restartPolicy: 'text',
        hostNetwork: 'boolean',
        automountServiceAccountToken: 'boolean',
        terminationGracePeriodSeconds: 'number',
        os: { fields: { name: 'text' } },
        nodeSelector: { map: 'text' },
        resources: RESOURCES,
        readinessGates: { list: { fields: { conditionType: 'text' } } },
        volumes: { list: { fields: { name: 'text' } } },
        containers: { list: CONTAINER },
        initContainers: { list: CONTAINER },
      },
    },
  },
};

/** Where and what is wrong: `spec.containers[0].ports is not a list`; undefined for a pod. */
export function wrongShape(pod: unknown): string | undefined {
  return wrongAt(pod, POD, '');
}

/** What is absent, or null, is never wrong: an API server says itself what is missing. */
function wrongAt(value: unknown, shape: Shape, path: string): string | undefined {
  if (value === undefined || value === null) return shape === 'given text' ? wrong(path, 'text') : undefined;
  if (typeof shape === 'string')
    return isOf(value, shape) ? undefined : wrong(path, shape === 'given text' ? 'text' : shape);
  if ('list' in shape) {
    if (!Array.isArray(value)) return wrong(path, 'list');
    return firstOf(value.map((item, index) => [`${path}[${index}]`, item, shape.list]));
  }
  if (!isObject(value)) return wrong(path, 'object');
  const entries =
    'map' in shape
      ? Object.keys(value).map((key) => [key, shape.map] as const)
      : Object.entries(shape.fields);
  return firstOf(entries.map(([key, inner]) => [path === '' ? key : `${path}.${key}`, value[key], inner]));
}

function firstOf(
  parts: readonly (readonly [path: string, value: unknown, shape: Shape])[],
): string | undefined {
  for (const [path, value, shape] of parts) {
    // An item that is null would be read as an object.
    if (value === null && path.endsWith(']')) return wrong(path, 'object');
    const found = wrongAt(value, shape, path);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isOf(value: unknown, shape: Exclude<Shape, object>): boolean {
  if (shape === 'object') return isObject(value);
  if (shape === 'text' || shape === 'given text') return typeof value === 'string';
  if (shape === 'number or text') return typeof value === 'number' || typeof value === 'string';
  return typeof value === shape;
}

function wrong(path: string, what: string): string {
  return `${path === '' ? 'it' : path} is not ${what === 'object' ? 'an object' : `a ${what}`}`;
}
