/** The parts of a pod that this kubelet reads, with the API server's defaults already filled in. */
import type { KubeObject } from '../../api/objects/types.ts';

export interface KeySelector {
  name: string;
  key: string;
  optional?: boolean;
}

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: {
    fieldRef?: { fieldPath: string };
    resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
    secretKeyRef?: KeySelector;
    configMapKeyRef?: KeySelector;
  };
}

export interface EnvFrom {
  prefix?: string;
  secretRef?: { name: string; optional?: boolean };
  configMapRef?: { name: string; optional?: boolean };
}

export interface HttpGet {
  path?: string;
  port: number | string;
  host?: string;
  scheme?: string;
  httpHeaders?: { name: string; value: string }[];
}

export interface Handler {
  httpGet?: HttpGet;
  tcpSocket?: { port: number | string; host?: string };
  exec?: { command?: string[] };
  grpc?: { port: number; service?: string };
  sleep?: { seconds: number };
}

export interface Probe extends Handler {
  initialDelaySeconds?: number;
  periodSeconds?: number;
  timeoutSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
  terminationGracePeriodSeconds?: number;
}

export interface ContainerSpec {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  env?: EnvVar[];
  envFrom?: EnvFrom[];
  ports?: { name?: string; containerPort: number; hostPort?: number; protocol?: string }[];
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
  volumeMounts?: { name: string; mountPath: string; subPath?: string }[];
  restartPolicy?: string;
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  lifecycle?: { postStart?: Handler; preStop?: Handler };
}

export interface FileItem {
  key: string;
  path: string;
}

export interface DownwardItem {
  path: string;
  fieldRef?: { fieldPath: string };
}

export interface VolumeSource {
  emptyDir?: object;
  hostPath?: { path: string };
  persistentVolumeClaim?: { claimName: string };
  secret?: { secretName: string; items?: FileItem[]; optional?: boolean };
  configMap?: { name: string; items?: FileItem[]; optional?: boolean };
  downwardAPI?: { items?: DownwardItem[] };
  projected?: {
    sources?: {
      secret?: { name: string; items?: FileItem[]; optional?: boolean };
      configMap?: { name: string; items?: FileItem[]; optional?: boolean };
      downwardAPI?: { items?: DownwardItem[] };
      serviceAccountToken?: { path: string; audience?: string };
    }[];
  };
}

export interface PodSpec {
  containers: ContainerSpec[];
  initContainers?: ContainerSpec[];
  volumes?: ({ name: string } & VolumeSource)[];
  restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  terminationGracePeriodSeconds?: number;
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  hostname?: string;
  nodeName?: string;
  readinessGates?: { conditionType: string }[];
}

export function specOf(pod: KubeObject): PodSpec {
  return pod.spec as PodSpec;
}

export type ContainerKind = 'init' | 'sidecar' | 'main';

export interface PlannedContainer {
  readonly spec: ContainerSpec;
  readonly kind: ContainerKind;
}

/** In starting order: init containers and sidecars as listed, then the others. */
export function containersOf(pod: KubeObject): PlannedContainer[] {
  const { initContainers = [], containers } = specOf(pod);
  return [
    ...initContainers.map((spec) => ({
      spec,
      kind: spec.restartPolicy === 'Always' ? ('sidecar' as const) : ('init' as const),
    })),
    ...containers.map((spec) => ({ spec, kind: 'main' as const })),
  ];
}

/** A port number, or the number of the container's port of that name. */
export function resolvePort(port: number | string, container: ContainerSpec): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find((candidate) => candidate.name === port)?.containerPort;
  const number = named ?? Number(port);
  if (!Number.isInteger(number))
    throw new RangeError(`container ${container.name} has no port named ${port}`);
  return number;
}
