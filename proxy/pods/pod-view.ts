/**
 * What the proxy needs of a pod, derived once when the watch brings it. Pure; types only. A pod's own
 * annotations count, not its workload's: during a rollout old pods still have the old limits and port.
 */
import { parseAnnotations, type AnnotationDefaults } from '../../common/function/annotations/index.ts';
import type { FunctionSpec } from '../../common/function/spec.ts';
import { SIDECAR_DATA_PORT } from '../../common/function/names.ts';
import type { V1Pod } from '../../common/kube/client.ts';
import { findAppPort } from '../../common/kube/model/app-port.ts';
import { allContainers, isTcp, sidecarVariable } from '../../common/kube/model/containers.ts';
import { readPod, type PodModel } from '../../common/kube/model/pod.ts';
import { isFailing, type Trouble } from '../../common/kube/model/trouble.ts';

type AsReported = Pick<
  PodModel,
  'namespace' | 'name' | 'uid' | 'addresses' | 'owner' | 'isTerminating' | 'isEnded' | 'isHostNetwork'
>;

export interface PodView extends AsReported {
  /** Empty until the pod has one. */
  readonly ip: string;
  /** Undefined when the pod is not annotated as a function's. */
  readonly spec: FunctionSpec | undefined;
  readonly hasSidecar: boolean;
  /** Where to call it: the sidecar's port, else the function's own; undefined when nobody declares one. */
  readonly port: number | undefined;
  /** Names of TCP ports; kept where Services lead to the proxy (slimfaas.dev/services: wake). */
  readonly portNames?: ReadonlyMap<string, number> | undefined;
  /** What proves that a message is its sidecar's (common/places/ready-proof.ts); undefined: it has none. */
  readonly token: string | undefined;
  /** Public keys. Its sidecar wants a proof made with one of them, newest first; none: it wants no proof. */
  readonly proxyKeys: readonly string[];
  /** Ready as Kubernetes says; its sidecar may say so earlier. */
  readonly isKubeReady: boolean;
  /** Why it does not come up, or what it is at, as far as Kubernetes says. */
  readonly trouble: string | undefined;
  /** What it says is a failure: it will not come up by waiting alone. */
  readonly isFailing: boolean;
}

/** Undefined for a pod without a name or owner. */
export function viewPod(object: V1Pod, defaults?: AnnotationDefaults): PodView | undefined {
  const pod = readPod(object);
  if (!pod) return undefined;
  const { isFunction, spec } = parseAnnotations(pod.annotations, defaults);
  const hasSidecar = pod.sidecar !== undefined;
  return {
    namespace: pod.namespace,
    name: pod.name,
    uid: pod.uid,
    ip: pod.ip ?? '',
    addresses: pod.addresses,
    owner: pod.owner,
    spec: isFunction ? spec : undefined,
    hasSidecar,
    port: hasSidecar ? SIDECAR_DATA_PORT : (spec.port ?? findAppPort(object)?.port),
    portNames: isFunction && spec.services === 'wake' ? portNames(object.spec) : undefined,
    token: pod.sidecar && sidecarVariable(pod.sidecar, 'drain-token'),
    proxyKeys: keysOf(pod.sidecar && sidecarVariable(pod.sidecar, 'proxy-keys')),
    isKubeReady: pod.isReady,
    isTerminating: pod.isTerminating,
    isEnded: pod.isEnded,
    isHostNetwork: pod.isHostNetwork,
    trouble: pod.trouble && troubleText(pod.name, pod.trouble),
    isFailing: pod.trouble !== undefined && isFailing(pod.trouble),
  };
}

const NO_KEYS: readonly string[] = [];
/** The webhook writes one; the next release may write a few. */
const MOST_PROOF_KEYS = 4;
const KEY_CHARACTERS = 56;

/** A pod may name its own container as ours, so it may bring any text. What is longer than our keys is cut. */
function keysOf(text: string | undefined): readonly string[] {
  if (text === undefined || text === '') return NO_KEYS;
  const first = text.slice(0, MOST_PROOF_KEYS * (KEY_CHARACTERS + 1)).split(',', MOST_PROOF_KEYS);
  // Copied: a part of a string keeps the whole of it in memory.
  return first.map((key) => Buffer.from(key.slice(0, KEY_CHARACTERS)).toString());
}

/** For the caller that waits: it names the pod. A pod that is on its way says what it is at, as that may take long. */
function troubleText(name: string, { message }: Trouble): string {
  return `pod ${name}${message.startsWith('container ') ? ',' : ''} ${message}`;
}

function portNames(spec: V1Pod['spec']): ReadonlyMap<string, number> {
  const ports = allContainers(spec).flatMap((container) => container.ports ?? []);
  return new Map(
    ports
      .filter(isTcp)
      .flatMap(({ name, containerPort }) => (name === undefined ? [] : [[name, containerPort]])),
  );
}
