/** The scale subresource: the part of a workload that autoscalers read and write. */
import { invalid, notFound } from '../objects/api-errors.ts';
import type { Kind } from '../objects/kinds.ts';
import { printLabelSelector } from '../objects/selectors.ts';
import type { Registry } from '../objects/registry.ts';
import type { ApiUser } from '../objects/request.ts';
import type { KubeObject } from '../objects/types.ts';

export interface ScaleTarget {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string;
}

function scaleOf(workload: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = workload.metadata;
  const metadata = { name, uid, resourceVersion, creationTimestamp, ...(namespace ? { namespace } : {}) };
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata,
    // As the API server: a count of 0 is left out.
    spec: workload.spec.replicas ? { replicas: workload.spec.replicas } : {},
    status: {
      replicas: workload.status?.replicas ?? 0,
      selector: printLabelSelector(workload.spec.selector ?? {}),
    },
  };
}

export function scaleObject(registry: Registry, { kind, namespace, name }: ScaleTarget): KubeObject {
  const workload = registry.store.get(kind.resource, namespace, name);
  if (workload === undefined) throw notFound(kind, name);
  return scaleOf(workload);
}

/** `change` sees and returns a Scale; its resourceVersion is the workload's, so a stale one is a conflict. */
export async function writeScale(
  registry: Registry,
  target: ScaleTarget,
  change: (scale: KubeObject) => KubeObject,
  caller: ApiUser,
): Promise<KubeObject> {
  const workload = await registry.update(
    target,
    (current) => {
      const scale = change(scaleOf(current));
      const replicas: unknown = scale.spec?.replicas ?? 0;
      if (!Number.isInteger(replicas) || (replicas as number) < 0) {
        const message = `Invalid value: ${JSON.stringify(replicas)}: must be an integer greater than or equal to 0`;
        const scaleKind = { ...target.kind, group: 'autoscaling', kind: 'Scale' };
        throw invalid(scaleKind, target.name, [
          { field: 'spec.replicas', reason: 'FieldValueInvalid', message },
        ]);
      }
      const { resourceVersion, uid } = scale.metadata ?? {};
      const metadata = { ...current.metadata, resourceVersion: resourceVersion ?? '', uid: uid ?? '' };
      return { ...current, metadata, spec: { ...current.spec, replicas } };
    },
    caller,
  );
  return scaleOf(workload);
}
