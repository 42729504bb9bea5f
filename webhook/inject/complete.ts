/**
 * A pod that has its sidecar already, seen again: another webhook has added a container since, or the cluster has
 * filled something in. New containers get the drain hook, and what the sidecar waits for follows; what a LimitRange gave
 * the sidecar is told. The sidecar itself stays as it is, whatever wrote it. Pure.
 */
import type { ParsedAnnotations } from '../../common/function/annotations/index.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { V1Container, V1Pod } from '../../common/kube/client.ts';
import { findSidecar, sidecarVariable, userContainers } from '../../common/kube/model/containers.ts';
import { envelopeOf } from './envelope.ts';
import type { InjectOptions } from './inject.ts';
import { readinessOf } from './readiness.ts';
import { envName } from '../../common/runtime/flags.ts';
import { giveIdentity, giveProof } from './identity.ts';
import { literal } from './literal.ts';
import { drainBeforeStop, probeVariables } from './sidecar-container.ts';

export interface Completion {
  /** Equal to the given pod where nothing is missing. */
  readonly pod: V1Pod;
  readonly warnings: readonly string[];
}

/**
 * The given pod is not changed.
 * @param id of the function, by the pod's owner; undefined where nobody knows it
 */
export function completeInjection(
  pod: V1Pod,
  id: FunctionId | undefined,
  parsed: ParsedAnnotations,
  options: InjectOptions,
): Completion {
  const desired = structuredClone(pod);
  const sidecar = findSidecar(desired.spec);
  if (!sidecar) return { pod: desired, warnings: [] };
  const token = sidecarVariable(sidecar, 'drain-token');
  for (const container of userContainers(desired.spec))
    if (!container.lifecycle?.preStop)
      container.lifecycle = { ...container.lifecycle, ...drainBeforeStop(token, container.name) };
  refreshProbes(desired, sidecar);
  if (options.identity && id) giveIdentity(desired, sidecar, id, options.identity);
  if (options.proof) giveProof(sidecar, options.proof);
  const warning = foreignLimit(pod, sidecar, parsed, options);
  return { pod: desired, warnings: warning === undefined ? [] : [warning] };
}

function refreshProbes(pod: V1Pod, sidecar: V1Container): void {
  const port = Number(sidecarVariable(sidecar, 'app-port') ?? 0);
  if (sidecarVariable(sidecar, 'probes') === undefined) return; // of an older webhook: it may not know the variable
  const place = sidecar.restartPolicy === 'Always' ? 'native' : 'beside';
  for (const [flag, value] of Object.entries(probeVariables(readinessOf(pod, port, place)))) {
    const entry = sidecar.env?.find(({ name }) => name === envName(flag));
    if (entry && value !== undefined) entry.value = literal(value);
  }
}

/** CPU alone: a memory limit is always ours, and one that is too small keeps the pod out with a message. */
function foreignLimit(
  pod: V1Pod,
  sidecar: V1Container,
  { spec }: ParsedAnnotations,
  options: InjectOptions,
): string | undefined {
  const has = sidecar.resources?.limits?.['cpu'];
  const { resources } = envelopeOf(pod, options.resources, spec.sidecarResources);
  if (has === undefined || resources.limits?.['cpu'] !== undefined) return undefined;
  return `a LimitRange of the namespace gives the sidecar a CPU limit of ${has}, which slows starts and calls: set sidecar.resources in the chart, or slimfaas.dev/sidecar-resources`;
}
