/**
 * The injected container, from what is known of the function and its pod. Pure. The environment is the contract
 * of docs/internals/architecture.md, "The sidecar's environment"; what is not set there has its default in the sidecar.
 */
import type { AppProtocol, FunctionSpec, SidecarResources } from '../../common/function/spec.ts';
import type { V1Container, V1Probe } from '../../common/kube/client.ts';
import { SIDECAR_ADMIN_PORT, SIDECAR_CONTAINER, SIDECAR_DATA_PORT } from '../../common/function/names.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Readiness } from './readiness.ts';
import type { Envelope } from './envelope.ts';
import { sidecarMemory } from './sidecar-resources.ts';
import type { SidecarPlace } from './sidecar-place.ts';

export interface SidecarFacts {
  readonly id: FunctionId;
  readonly spec: FunctionSpec;
  /** 0: speaks no HTTP. */
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly readiness: Readiness;
  readonly envelope: Envelope;
  readonly volumeMounts: V1Container['volumeMounts'];
  /** The limit over all pods; 0 where nobody hands out shares of it. */
  readonly parallelLimit: number;
  readonly parallelPerPod: number;
  readonly drainSeconds: number;
  readonly place: SidecarPlace;
  /** Whether a container of the user's has the sidecar's preStop hook, which tells it that the app ends. */
  readonly hasHooks: boolean;
  /** What the preStop hooks show to the sidecar, so that nobody else can drain the pod. */
  readonly drainToken: string;
}

export interface SidecarDefaults {
  readonly image: string;
  readonly nats: string;
  /** URL of the proxies; empty: sidecars tell them over NATS alone. */
  readonly proxy?: string;
  /** An IP address of the NATS server; none in manifests that `slimfaas inject` writes. */
  readonly natsAddress?: string | undefined;
  /** An IP address for `proxy`; as above. */
  readonly proxyAddress?: string | undefined;
  /** undefined: the namespace gives one. */
  readonly user: number | undefined;
  /** undefined: Kubernetes' own rule, by the image's tag. */
  readonly pullPolicy?: string | undefined;
  /** Beyond what every sidecar has; undefined: nothing. */
  readonly resources?: SidecarResources | undefined;
}

export function sidecarContainer(facts: SidecarFacts, defaults: SidecarDefaults): V1Container {
  const { resources, memoryLimit } = facts.envelope;
  return {
    name: SIDECAR_CONTAINER,
    image: facts.spec.sidecarImage ?? defaults.image,
    ...(defaults.pullPolicy === undefined ? {} : { imagePullPolicy: defaults.pullPolicy }),
    args: ['sidecar'],
    ...(facts.place === 'native' ? { restartPolicy: 'Always' } : {}),
    env: environment(facts, defaults, memoryLimit),
    ports: [
      { name: 'slimfaas-data', containerPort: SIDECAR_DATA_PORT, protocol: 'TCP' },
      { name: 'slimfaas-admin', containerPort: SIDECAR_ADMIN_PORT, protocol: 'TCP' },
    ],
    livenessProbe: livenessProbe(),
    lifecycle: drainBeforeStop(facts.drainToken),
    resources,
    ...(facts.volumeMounts ? { volumeMounts: facts.volumeMounts } : {}),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      // Where nothing is said the image's own user counts, unless the cluster fills in one of the namespace's range.
      ...(defaults.user === undefined ? {} : { runAsUser: defaults.user }),
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

function adminGet(path: string): Pick<V1Probe, 'httpGet'> {
  return { httpGet: { path, port: SIDECAR_ADMIN_PORT, scheme: 'HTTP' } };
}

/**
 * What makes the kubelet hold a container's SIGTERM back until the sidecar has let every call finish. At a pod's end
 * the kubelet runs the hooks of all containers at once, the sidecar's own too: `/drain` is for good. A user's
 * container that fails its liveness probe is ended alone, and comes back. Its hook says which one it is,
 * `/drain?container=app`, so that the sidecar can tell the two apart. The token is in the path: kubelets before 1.27
 * send no headers of a hook.
 */
export function drainBeforeStop(
  token: string | undefined,
  container?: string,
): NonNullable<V1Container['lifecycle']> {
  const query = new URLSearchParams({
    ...(container === undefined ? {} : { container }),
    ...(token === undefined ? {} : { token }),
  });
  return { preStop: adminGet(`/drain?${query.toString()}`) };
}

/**
 * Liveness only, and slow on purpose (60 s): restarting a sidecar breaks the calls that run through it. No
 * startupProbe: it would hold the user's containers back until the sidecar listens. No readinessProbe either. It
 * could only make the pod ready later (by up to its period, for each workload that others depend on), or take a
 * database out of its Service over a slow sidecar. Nothing needs it. A sidecar that is not up yet refuses the
 * connection, and one whose app is not up answers `starting`. Both send the call back to the proxy's queue.
 */
function livenessProbe(): V1Probe {
  return { ...adminGet('/health'), periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 6 };
}

function environment(
  facts: SidecarFacts,
  defaults: SidecarDefaults,
  memoryLimit: string | undefined,
): NonNullable<V1Container['env']> {
  const { id, spec } = facts;
  const values: Record<string, string | undefined> = {
    FUNCTION: id.name,
    NATS: defaults.nats,
    PROXY: defaults.proxy || undefined,
    PROXY_ADDRESS: defaults.proxy ? defaults.proxyAddress : undefined,
    NATS_ADDRESS: defaults.natsAddress,
    // Named although they are the defaults. Beside a Service called `slimfaas` or `slimfaas-admin` Kubernetes would
    // put SLIMFAAS_PORT=tcp://… into the container, and only its own env comes before that.
    PORT: String(SIDECAR_DATA_PORT),
    ADMIN_PORT: String(SIDECAR_ADMIN_PORT),
    APP_PORT: String(facts.port),
    APP_PROTOCOL: facts.protocol === 'h2c' ? 'h2c' : undefined,
    // Not a third protocol: a sidecar of 0.1.0 (slimfaas.dev/sidecar-image) ends over a word that it does not know.
    APP_TLS: facts.protocol === 'https' ? 'true' : undefined,
    PARALLEL_PER_POD: String(facts.parallelPerPod),
    PARALLEL_LIMIT: String(facts.parallelLimit),
    QUEUE_LIMIT: spec.queueLimit?.toString(),
    ...probeVariables(facts.readiness),
    SYNC_POLICY: JSON.stringify(spec.sync),
    ASYNC_POLICY: JSON.stringify(spec.async),
    PUBLISH_POLICY: JSON.stringify(spec.publish),
    SUBSCRIBE_EVENTS: spec.subscribeEvents.map(({ event }) => event).join(',') || undefined,
    ORDERED: spec.ordered ? 'true' : undefined,
    RETRY_JITTER: spec.retryJitterPercent?.toString(),
    JOB_SHARE: spec.jobSharePercent?.toString(),
    DRAIN_SECONDS: String(facts.drainSeconds),
    DRAIN_TOKEN: facts.drainToken,
    OUTLIVE_APP: facts.place === 'native' ? undefined : facts.hasHooks ? 'if-told' : 'yes',
  };
  const plain = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name: `SLIMFAAS_${name}`, value: literal(value) }],
  );
  return [
    // From the pod, not from the review: `slimfaas inject` writes it before the namespace is known.
    field('SLIMFAAS_NAMESPACE', 'metadata.namespace'),
    field('SLIMFAAS_POD_NAME', 'metadata.name'),
    field('SLIMFAAS_POD_IP', 'status.podIP'),
    ...Object.entries(sidecarMemory(memoryLimit)).map(([name, value]) => ({ name, value })),
    ...plain,
  ];
}

/** READINESS_PROBE is what sidecars of 0.1.0 read (slimfaas.dev/sidecar-image): one container's, or that it is Kubernetes'. */
export function probeVariables(readiness: Readiness): Record<string, string | undefined> {
  if (readiness.kind === 'kubernetes') return { PROBES: 'kubernetes', READINESS_PROBE: '{"exec":{}}' };
  const [first] = readiness.containers.flatMap(({ readiness: probe }) => probe ?? []);
  return { PROBES: JSON.stringify(readiness.containers), READINESS_PROBE: first && JSON.stringify(first) };
}

/** The kubelet expands `$(NAME)` in values; `$$(` is how it writes a plain `$(`. */
export function literal(value: string): string {
  return value.replaceAll('$(', '$$$$(');
}

/** With apiVersion, which the API server would add: then the pod reads back as it was injected. */
function field(name: string, fieldPath: string): NonNullable<V1Container['env']>[number] {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}
