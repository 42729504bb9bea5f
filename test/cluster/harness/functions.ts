/** Manifests of the functions and pods of the cluster tests. They hold to Pod Security `restricted`. */
import type { Settings } from './settings.ts';

export interface FunctionSpec {
  readonly name: string;
  readonly kind?: 'Deployment' | 'StatefulSet';
  readonly replicas?: number;
  /** Without their prefix: `NumberParallelRequest` and so on; those with a slash as they are. */
  readonly annotations?: Readonly<Record<string, string | number>>;
  /** Which program of apps/ runs in it. */
  readonly app?: 'app' | 'grpc' | 'caller';
  readonly port?: number;
  readonly env?: Readonly<Record<string, string | number>>;
  /** Replaces fields of the app's container; undefined takes one away. */
  readonly container?: Readonly<Record<string, unknown>>;
  /** Further containers, by the name of the program that they run. */
  readonly containers?: readonly object[];
  /** Replaces fields of the pod's spec. */
  readonly pod?: Readonly<Record<string, unknown>>;
  /** Replaces fields of the workload's spec. */
  readonly workload?: Readonly<Record<string, unknown>>;
}

export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  runAsUser: 65_532,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** A container that runs a program of apps/. */
export function appContainer(settings: Settings, fn: FunctionSpec, name = 'app'): Record<string, unknown> {
  const { app = 'app', port = 5000, env = {}, container = {} } = fn;
  const probe = app === 'app' ? { httpGet: { path: '/health', port } } : { tcpSocket: { port } };
  const all = { PORT: port, ...env };
  return {
    name,
    image: settings.demoImage,
    command: ['node', `/code/${app}.mjs`],
    env: Object.entries(all).map(([key, value]) => ({ name: key, value: String(value) })),
    ports: [{ containerPort: port }],
    readinessProbe: { ...probe, periodSeconds: 1 },
    resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
    securityContext: RESTRICTED,
    volumeMounts: [
      { name: 'code', mountPath: '/code' },
      { name: 'tmp', mountPath: '/tmp' },
    ],
    ...container,
  };
}

export function appPod(settings: Settings, fn: FunctionSpec): Record<string, unknown> {
  return {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 30,
    containers: [appContainer(settings, fn), ...(fn.containers ?? [])],
    volumes: [
      { name: 'code', configMap: { name: 'apps' } },
      { name: 'tmp', emptyDir: {} },
    ],
    ...fn.pod,
  };
}

export function workload(settings: Settings, namespace: string, fn: FunctionSpec): object {
  const written = Object.entries({ Function: 'true', ...fn.annotations }).map(([key, value]) => {
    return [key.includes('/') ? key : `SlimFaas/${key}`, String(value)];
  });
  return plainWorkload(settings, namespace, fn, Object.fromEntries(written) as Record<string, string>);
}

/** @param annotations of the pod template */
export function plainWorkload(
  settings: Settings,
  namespace: string,
  fn: FunctionSpec,
  annotations: Readonly<Record<string, string>> = {},
): object {
  const { name, kind = 'Deployment', replicas = 0 } = fn;
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
      template: {
        metadata: { labels, annotations },
        spec: appPod(settings, fn),
      },
      ...fn.workload,
    },
  };
}
