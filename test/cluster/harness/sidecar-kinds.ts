/** Pod templates that already have their sidecar, in either kind, taken from a pod that the webhook has injected. */
import type { KubeObject } from './clients.ts';

const SIDECAR = 'slimfaas-sidecar';

export type SidecarKind = 'native' | 'ordinary';

interface Variable {
  readonly name: string;
  readonly value?: string;
}

interface Container {
  readonly name: string;
  readonly env?: readonly Variable[];
  readonly restartPolicy?: string;
}

/** @param env of the app. @returns a pod template; the webhook leaves a pod alone that has the sidecar */
export function templateWithSidecar(
  { spec }: KubeObject,
  name: string,
  kind: SidecarKind,
  env: Readonly<Record<string, string>>,
): object {
  const all = [...(spec.initContainers ?? []), ...spec.containers] as Container[];
  const isSidecar = (container: Container): boolean => container.name === SIDECAR;
  const { restartPolicy: _, ...found } = all.find(isSidecar) as Container;
  const sidecar = withEnv(found, { SLIMFAAS_FUNCTION: name });
  const apps = all.filter((container) => !isSidecar(container)).map((container) => withEnv(container, env));
  return {
    metadata: {
      labels: { app: name, 'slimfaas.dev/function': name },
      annotations: { 'SlimFaas/Function': 'true' },
    },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds,
      volumes: spec.volumes,
      containers: kind === 'ordinary' ? [...apps, sidecar] : apps,
      ...(kind === 'native' ? { initContainers: [{ ...sidecar, restartPolicy: 'Always' }] } : {}),
    },
  };
}

function withEnv(container: Container, env: Readonly<Record<string, string>>): Container {
  const rest = (container.env ?? []).filter(({ name }) => !(name in env));
  const own = Object.entries(env).map(([name, value]) => ({ name, value }));
  return { ...container, env: [...rest, ...own] };
}
