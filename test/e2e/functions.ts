/** Manifests of functions for end-to-end tests: the demo's server in an ordinary Deployment. */
import { stringify } from 'yaml';

export interface FunctionManifest {
  readonly name: string;
  readonly namespace?: string;
  /** Without their prefix: `NumberParallelRequest` and so on; `slimfaas.dev/…` as they are. */
  readonly annotations?: Readonly<Record<string, string | number>>;
  readonly replicas?: number;
  readonly graceSeconds?: number;
  readonly kind?: 'Deployment' | 'StatefulSet';
  /** Replaces the demo's own readiness probe; null: none. */
  readonly readinessProbe?: object | null;
  readonly args?: readonly string[];
  readonly port?: number | null;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly containers?: readonly object[];
  /** What a namespace with Pod Security `restricted` asks of a pod, said by the user's part of it. */
  readonly isRestricted?: boolean;
}

export const NAMESPACE = 'slimfaas';

export function functionManifest(fn: FunctionManifest): string {
  const { name, annotations = {}, replicas = 0, graceSeconds = 30, kind = 'Deployment' } = fn;
  const { namespace = NAMESPACE } = fn;
  const labels = { app: name };
  const written = Object.entries({ Function: 'true', ...annotations }).map(([key, value]) => {
    return [key.includes('/') ? key : `SlimFaas/${key}`, String(value)];
  });
  return stringify({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
      template: {
        metadata: { labels, annotations: Object.fromEntries(written) },
        spec: {
          terminationGracePeriodSeconds: graceSeconds,
          automountServiceAccountToken: false,
          containers: [appContainer(fn), ...(fn.containers ?? [])],
        },
      },
    },
  });
}

const RESTRICTED = {
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

function appContainer(fn: FunctionManifest): object {
  const { image, command, args, port = 5000, readinessProbe, isRestricted = false } = fn;
  const probe =
    readinessProbe === undefined ? { httpGet: { path: '/health', port }, periodSeconds: 1 } : readinessProbe;
  return {
    name: 'app',
    image: image ?? 'slimfaas/slimfaas-demo:0.1.0',
    ...(command ? { command } : {}),
    ...(isRestricted ? { securityContext: RESTRICTED } : {}),
    ...(args ? { args } : {}),
    ...(port === null
      ? {}
      : { env: [{ name: 'PORT', value: String(port) }], ports: [{ containerPort: port }] }),
    ...(probe === null || port === null ? {} : { readinessProbe: probe }),
  };
}
