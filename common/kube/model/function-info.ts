/**
 * From a workload as Kubernetes has it to a {@link FunctionInfo}: the edge at which annotations are read,
 * once, for every part that watches workloads.
 */
import { parseAnnotations, type AnnotationDefaults } from '../../function/annotations/index.ts';
import type { FunctionInfo, WorkloadKind } from '../../function/spec.ts';
import type { V1Deployment, V1StatefulSet } from '../client.ts';
import { noSidecarFault, whyNoSidecar } from './no-sidecar.ts';
import { findAppPort } from './app-port.ts';

/** Undefined for a workload that has not opted in. */
export function functionOfWorkload(
  kind: WorkloadKind,
  workload: V1Deployment | V1StatefulSet,
  defaults?: AnnotationDefaults,
): FunctionInfo | undefined {
  const meta = workload.metadata;
  const template = workload.spec?.template;
  const parsed = parseAnnotations(template?.metadata?.annotations ?? {}, defaults);
  if (!parsed.isFunction || !meta?.name || !meta.namespace) return undefined;
  const noSidecar = whyNoSidecar(meta.namespace, parsed.spec, template?.spec);
  return Object.freeze({
    id: Object.freeze({ namespace: meta.namespace, name: meta.name }),
    kind,
    uid: meta.uid ?? '',
    spec: parsed.spec,
    faults:
      noSidecar === undefined ? parsed.faults : [...parsed.faults, noSidecarFault(noSidecar, parsed.spec)],
    noSidecar,
    port: parsed.spec.port ?? findAppPort(template ?? {})?.port,
    createdAtMs: meta.creationTimestamp ? new Date(meta.creationTimestamp).getTime() : 0,
  });
}
