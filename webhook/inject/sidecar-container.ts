/**
 * The injected container, from what is known of the function and its pod. Pure. The environment is the table
 * of common/function/sidecar-flags.ts; what is not set here has its default there.
 */
import type { AppProtocol, FunctionSpec, SidecarResources } from '../../common/function/spec.ts';
import type { V1Container, V1Probe } from '../../common/kube/client.ts';
import { SIDECAR_ADMIN_PORT, SIDECAR_CONTAINER, SIDECAR_DATA_PORT } from '../../common/function/names.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import { envName } from '../../common/runtime/flags.ts';
import {
  annotatedEnvironment,
  type SidecarEnvironment,
  type SidecarFlagName,
} from '../../common/function/sidecar-flags.ts';
import { literal } from './literal.ts';
import type { InjectedReadiness } from './readiness.ts';
import type { Envelope } from './envelope.ts';
import { sidecarMemory } from './sidecar-resources.ts';
import type { SidecarPlace } from './sidecar-place.ts';

export interface SidecarFacts {
  readonly id: FunctionId;
  readonly spec: FunctionSpec;
  /** 0: speaks no HTTP. */
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly readiness: InjectedReadiness;
  readonly envelope: Envelope;
  readonly volumeMounts: V1Container['volumeMounts'];
  /** The limit over all pods; 0 where nobody gives out shares of it. */
  readonly parallelLimit: number;
  readonly parallelPerPod: number;
  readonly drainSeconds: number;
  readonly place: SidecarPlace;
  /** Whether a container of the user's has the sidecar's preStop hook, which tells it that the app ends. */
  readonly hasHooks: boolean;
  /** What the preStop hooks show to the sidecar, so that nobody else can drain the pod. */
  readonly drainToken: string;
  /** The kubelet's probes that connect to the pod: `1:3`, period and timeout in seconds. */
  readonly probes: readonly string[];
  /** Where the pod's metrics are, if that is not the app's port; see direct-probes.ts. */
  readonly scrapePort: number | undefined;
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
    ...(facts.spec.services === 'wake' ? { readinessProbe: readinessProbe(facts.drainSeconds) } : {}),
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
 * A function that its own Services wake is the exception: see {@link readinessProbe}.
 */
function livenessProbe(): V1Probe {
  return { ...adminGet('/health'), periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 6 };
}

/**
 * Fails once the pod drains, so that its Services drop it after five seconds. Without it a pod that ends counts as one
 * that serves until its containers have ended. Where no pod is ready Kubernetes sends callers to such pods, and one
 * that has just closed its port refuses them. A sidecar that is only slow has 15 s (five times its timeout). Where the
 * grace period is short, a third of the drain is for this.
 */
function readinessProbe(drainSeconds: number): V1Probe {
  const failureThreshold = Math.min(UNREADY_SECONDS, Math.max(1, Math.floor(drainSeconds / 3)));
  return { ...adminGet('/ready'), periodSeconds: 1, timeoutSeconds: 3, failureThreshold };
}

const UNREADY_SECONDS = 5;

function environment(
  facts: SidecarFacts,
  defaults: SidecarDefaults,
  memoryLimit: string | undefined,
): NonNullable<V1Container['env']> {
  const { id, spec } = facts;
  const values: SidecarEnvironment = {
    function: id.name,
    nats: defaults.nats,
    proxy: defaults.proxy || undefined,
    'proxy-address': defaults.proxy ? defaults.proxyAddress : undefined,
    'nats-address': defaults.natsAddress,
    // Named although they are the defaults. Beside a Service called `slimfaas` or `slimfaas-admin` Kubernetes would
    // put SLIMFAAS_PORT=tcp://… into the container, and only its own env comes before that.
    port: String(SIDECAR_DATA_PORT),
    'admin-port': String(SIDECAR_ADMIN_PORT),
    'app-port': String(facts.port),
    'app-protocol': facts.protocol === 'h2c' ? 'h2c' : undefined,
    // Not a third protocol: a sidecar of 0.1.0 (slimfaas.dev/sidecar-image) ends with an error for a value that it does not know.
    'app-tls': facts.protocol === 'https' ? 'true' : undefined,
    'parallel-per-pod': String(facts.parallelPerPod),
    'parallel-limit': String(facts.parallelLimit),
    ...probeVariables(facts.readiness),
    ...annotatedEnvironment(spec),
    ...directVariables(facts),
    'drain-seconds': String(facts.drainSeconds),
    'drain-settle-seconds': settleSeconds(spec),
    'drain-token': facts.drainToken,
    'outlive-app': facts.place === 'native' ? undefined : facts.hasHooks ? 'if-told' : 'yes',
  };
  const plain = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name: envName(name), value: literal(value) }],
  );
  return [
    // From the pod, not from the review: `slimfaas inject` writes it before the namespace is known.
    field('namespace', 'metadata.namespace'),
    field('pod-name', 'metadata.name'),
    field('pod-ip', 'status.podIP'),
    ...Object.entries(sidecarMemory(memoryLimit)).map(([name, value]) => ({ name, value })),
    ...plain,
  ];
}

/** Nothing, unless the function asks for it. With it goes what tells the kubelet's probes from callers. */
function directVariables({ spec, probes, scrapePort }: SidecarFacts): SidecarEnvironment {
  const { direct, idleTimeoutSeconds } = spec;
  if (!direct.isCounted) return {};
  // What is looked at too seldom would be asleep before its use is noticed.
  const lookSeconds = Math.max(1, idleTimeoutSeconds / 4);
  const ignored = [...direct.ignored, ...(scrapePort === undefined ? [] : [`:${scrapePort}`])];
  return {
    'direct-traffic': 'count',
    'direct-probes': probes.join(',') || undefined,
    'direct-ignore': ignored.join(',') || undefined,
    'direct-idle-seconds': String(direct.idleSeconds),
    'direct-look-seconds': lookSeconds < 60 ? String(lookSeconds) : undefined,
  };
}

/**
 * Callers come by the function's Services until kube-proxy has taken the pod out. Five seconds after its drain has
 * begun the pod is ready no more; then kube-proxy needs a second, as a rule. It may be away for a while itself.
 * Undefined: the sidecar's default.
 */
const SERVICES_SETTLE_SECONDS = 15;

function settleSeconds(spec: FunctionSpec): string | undefined {
  return spec.services === 'wake' ? String(SERVICES_SETTLE_SECONDS) : undefined;
}

/** `readiness-probe` is what sidecars of 0.1.0 read (slimfaas.dev/sidecar-image): one container's, or that it is Kubernetes'. */
export function probeVariables(readiness: InjectedReadiness): SidecarEnvironment {
  if (readiness.kind === 'kubernetes') return { probes: 'kubernetes', 'readiness-probe': '{"exec":{}}' };
  const [first] = readiness.containers.flatMap(({ readiness: probe }) => probe ?? []);
  return { probes: JSON.stringify(readiness.containers), 'readiness-probe': first && JSON.stringify(first) };
}

/** With apiVersion, which the API server would add: then the pod reads back as it was injected. */
function field(flag: SidecarFlagName, fieldPath: string): NonNullable<V1Container['env']>[number] {
  return { name: envName(flag), valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}
