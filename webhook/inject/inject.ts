/**
 * A pod as it should be: the pure heart of the webhook, and of `slimfaas inject`. It adds the sidecar, a
 * preStop where there is none, the label and the status annotation; the user's probes, ports, environment and
 * volumes are never touched.
 *
 * Room `webhook/inject`: Pure: a pod in, the same pod with a sidecar out.
 * Comes in: a pod and its spec.
 * Goes out: a patched pod, warnings.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { AnnotationDefaults, ParsedAnnotations } from '../../common/function/annotations/index.ts';
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { V1Container, V1Pod, V1PodSpec } from '../../common/kube/client.ts';
import type { PodOwner } from '../../common/kube/model/ownership.ts';
import { userContainers } from '../../common/kube/model/containers.ts';
import { FUNCTION_LABEL, INJECT_STATUS_ANNOTATION } from '../../common/function/names.ts';
import { envelopeOf } from './envelope.ts';
import { functionLabelValue } from './function-label.ts';
import {
  drainBeforeStop,
  sidecarContainer,
  type SidecarDefaults,
  type SidecarFacts,
} from './sidecar-container.ts';
import type { SidecarPlace } from './sidecar-place.ts';
import { addNoTokenVolume, noTokenMounts } from './no-token.ts';
import { readinessOf } from './readiness.ts';
import { giveIdentity, giveProof, type InjectedIdentity, type InjectedProof } from './identity.ts';
import { probeOfCallPort, probeTimings, scrapePortBeside, scrapeTimings } from './direct-probes.ts';
import { appPort, appProtocolOf, protocolFault } from './user-containers.ts';

export interface InjectOptions extends SidecarDefaults {
  /** Written into the status annotation. */
  readonly version: string;
  /** A new one for each pod that is injected; see {@link randomToken}. */
  readonly createDrainToken: (pod: FunctionId) => string;
  /** undefined: nobody asks pods who they are. */
  readonly identity?: InjectedIdentity | undefined;
  /** What holds for a pod that does not say it. */
  readonly annotations?: AnnotationDefaults | undefined;
  /** undefined: pods ask proxies for no proof. */
  readonly proof?: InjectedProof | undefined;
}

export interface Injection {
  readonly pod: V1Pod;
  readonly warnings: readonly string[];
  /** Calls will fail until somebody mends it. */
  readonly faults: readonly string[];
}

/** What Kubernetes fills in where the pod does not say. */
const DEFAULT_GRACE_SECONDS = 30;
/** Left for the sidecar to send its last report and exit after the drain. */
const AFTER_DRAIN_SECONDS = 2;

/** The given pod is not changed. Call only when `matchPod` says `inject`. */
export function injectPod(
  pod: V1Pod,
  owner: PodOwner,
  parsed: ParsedAnnotations,
  options: InjectOptions,
): Injection {
  const { spec } = parsed;
  const { port, warning: portWarning } = appPort(pod, spec.port);
  const protocol = appProtocolOf(pod, port, spec.appProtocol);
  const place = placeIn(pod);
  const readiness = readinessOf(pod, port, place);
  const limits = limitsFor(owner, spec);
  const grace = pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
  const facts: SidecarFacts = {
    id: owner.id,
    spec,
    port,
    protocol,
    readiness,
    envelope: envelopeOf(pod, options.resources, spec.sidecarResources),
    volumeMounts: noTokenMounts(pod),
    parallelLimit: limits.overPods,
    parallelPerPod: limits.perPod,
    drainSeconds: Math.max(1, grace - AFTER_DRAIN_SECONDS),
    place,
    hasHooks: userContainers(pod.spec).some(({ lifecycle }) => !lifecycle?.preStop),
    drainToken: options.createDrainToken(owner.id),
    probes: [...probeTimings(pod), ...scrapeTimings(pod, port)],
    scrapePort: scrapePortBeside(pod, port),
  };
  return {
    pod: withSidecar(pod, facts, options),
    faults: [
      protocolFault(pod, port, protocol),
      options.proof?.mode === 'required' ? probeOfCallPort(pod) : undefined,
    ].filter((fault) => fault !== undefined),
    warnings: [
      portWarning,
      facts.envelope.warning,
      readiness.kind === 'kubernetes' && readiness.isFault ? readiness.why : undefined,
      limits.warning,
    ].filter((warning) => warning !== undefined),
  };
}

function withSidecar(pod: V1Pod, facts: SidecarFacts, options: InjectOptions): V1Pod {
  const { id, drainToken, place } = facts;
  const sidecar = sidecarContainer(facts, options);
  // Without what is different in every pod: the hash tells injections apart.
  const hash = hashOf(sidecarContainer({ ...facts, drainToken: '' }, options));
  const desired = structuredClone(pod);
  const meta = (desired.metadata ??= {});
  meta.labels = { ...meta.labels, [FUNCTION_LABEL]: functionLabelValue(id.name) };
  meta.annotations = {
    ...meta.annotations,
    [INJECT_STATUS_ANNOTATION]: JSON.stringify({ version: options.version, hash }),
  };
  const spec = (desired.spec ??= { containers: [] });
  // The API server sends `containers: null` for a manifest without any, and says itself what is missing.
  for (const container of spec.containers ?? [])
    if (!container.lifecycle?.preStop)
      container.lifecycle = { ...container.lifecycle, ...drainBeforeStop(drainToken, container.name) };
  addSidecar(spec, sidecar, place);
  if (facts.volumeMounts) addNoTokenVolume(spec);
  if (options.identity) giveIdentity(desired, sidecar, id, options.identity);
  if (options.proof) giveProof(sidecar, options.proof);
  return desired;
}

/** Kubernetes fills in `Always`; a Deployment's and a StatefulSet's pods may have nothing else. */
function placeIn(pod: V1Pod): SidecarPlace {
  return (pod.spec?.restartPolicy ?? 'Always') === 'Always' ? 'beside' : 'native';
}

/** Native first, before other init containers; else last, so that the app's container is kubectl's default. */
function addSidecar(spec: V1PodSpec, sidecar: V1Container, place: SidecarPlace): void {
  if (place === 'native') spec.initContainers = [sidecar, ...(spec.initContainers ?? [])];
  else if (spec.containers) spec.containers = [...spec.containers, sidecar];
}

/**
 * Shares are handed out by the scaler, which knows Deployments and StatefulSets only. A pod of anything else
 * would wait for its share forever, so there the limit over pods becomes one more limit of the pod.
 */
function limitsFor(
  owner: PodOwner,
  spec: FunctionSpec,
): { overPods: number; perPod: number; warning?: string } {
  if (spec.parallelLimit === undefined) return { overPods: 0, perPod: spec.parallelPerPod };
  if (owner.kind !== 'Other') return { overPods: spec.parallelLimit, perPod: spec.parallelPerPod };
  return {
    overPods: 0,
    perPod: Math.min(spec.parallelPerPod, spec.parallelLimit),
    warning:
      'SlimFaas/NumberParallelRequest holds over all pods only for Deployments and StatefulSets; here it limits each pod',
  };
}

/** 128 bits that nobody guesses. */
export function randomToken(): string {
  return randomBytes(16).toString('hex');
}

/** Tells two injections apart: 12 hex digits of what was added. */
function hashOf(sidecar: V1Container): string {
  return createHash('sha256').update(JSON.stringify(sidecar)).digest('hex').slice(0, 12);
}
