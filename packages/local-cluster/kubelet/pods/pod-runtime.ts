/** The {@link PodRuntime} of one pod on this machine: volumes as folders, images as processes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { KubeObject } from '../../api/objects/types.ts';
import { Deadline } from '../container/deadline.ts';
import { containerEnv } from '../container/env.ts';
import { expandVariables, rewritePaths } from '../container/expansion.ts';
import type { HandlerContext } from '../container/handlers.ts';
import { UNKNOWN_IMAGE, type Image } from '../container/images.ts';
import type { KubeletOptions } from './kubelet-options.ts';
import type { SimulatedFailures } from '../container/failures.ts';
import { specOf, type ContainerSpec } from './pod-spec.ts';
import type { PodRuntime } from './runtime.ts';
import { mountsOf, writeVolumes, type VolumeContext } from '../container/volumes.ts';
import type { Watchdog } from './watchdog.ts';

export interface PodRuntimeOptions {
  readonly pod: KubeObject;
  readonly podIp: string;
  readonly podDir: string;
  readonly kubelet: KubeletOptions;
  readonly failures: SimulatedFailures;
  readonly watchdog: Watchdog;
  readonly changed: () => void;
}

const DEFAULT_GRACE_SECONDS = 30;
const CONFIG_RETRY_MS = 1_000;
const BACKOFF_BASE_MS = 10_000;

export function createPodRuntime(options: PodRuntimeOptions): PodRuntime {
  const { pod, kubelet, failures, changed } = options;
  const { name, uid } = pod.metadata;
  const namespace = pod.metadata.namespace ?? 'default';
  const spec = specOf(pod);
  const volumes = volumeContext(options, namespace);
  const imageOf = (container: ContainerSpec) => kubelet.images.find(container.image);
  return {
    title: `${name}_${namespace}(${uid})`,
    restartPolicy: spec.restartPolicy ?? 'Always',
    graceSeconds: spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS,
    backoffBaseMs: kubelet.backoffBaseMs ?? BACKOFF_BASE_MS,
    configRetryMs: CONFIG_RETRY_MS,
    now: Date.now,
    pullError(container) {
      const onRequest = failures.pullError(container.image);
      if (onRequest !== undefined || imageOf(container) || container.command) return onRequest;
      return `${container.image}: not found (this machine knows no such image, and the container has no command)`;
    },
    writeVolumes: () => writeVolumes(volumes),
    handlerContext(container) {
      writeVolumes(volumes);
      return handlerContext(container, options, volumes);
    },
    command(container, context) {
      const image = imageOf(container) ?? UNKNOWN_IMAGE;
      const argv = failures.isCrashing(container) ? ['false'] : argvOf(container, image, context);
      return { argv, env: context.env, cwd: context.cwd, watchdog: options.watchdog };
    },
    readinessDelayMs: () => failures.readinessDelayMs,
    deadline: (ms) => new Deadline(ms),
    event: (type, reason, message, _container) => kubelet.event(pod, type, reason, message),
    onLine: (container, line) => kubelet.onLog({ namespace, pod: name, container, line }),
    changed,
  };
}

function volumeContext({ pod, podIp, podDir, kubelet }: PodRuntimeOptions, namespace: string): VolumeContext {
  const account = specOf(pod).serviceAccountName ?? 'default';
  // Volumes are written at each probe: a new token each time would be a file that changes all the time.
  const tokens = new Map<string | undefined, string>();
  return {
    api: kubelet.api,
    pod,
    addresses: { podIp, hostIp: kubelet.hostIp },
    podDir,
    claimsDir: join(kubelet.dir, 'claims'),
    token(audience) {
      const known = tokens.get(audience);
      if (known !== undefined) return known;
      const { name, uid } = pod.metadata;
      const audiences = audience === undefined ? undefined : [audience];
      const made = kubelet.tokenFor(namespace, account, { audiences, pod: { name, uid } });
      tokens.set(audience, made);
      return made;
    },
  };
}

function handlerContext(
  container: ContainerSpec,
  options: PodRuntimeOptions,
  volumes: VolumeContext,
): HandlerContext {
  const { pod, podIp, podDir, kubelet } = options;
  const mounts = mountsOf(volumes, container);
  const rewrite = (text: string) => rewritePaths(text, mounts);
  const own = containerEnv(kubelet.api, pod, container, volumes.addresses);
  const rewritten = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, rewrite(value)]));
  const image = kubelet.images.find(container.image) ?? UNKNOWN_IMAGE;
  const cwd = container.workingDir ? rewrite(container.workingDir) : process.cwd();
  return {
    container,
    podIp,
    cwd,
    rewrite,
    watchdog: options.watchdog,
    env: {
      PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`, // Debian keeps nats-server there
      HOME: homedir(),
      HOSTNAME: pod.metadata.name,
      ...rewritten,
      ...image.env(podIp),
      ...kubeconfigEnv(pod, podDir, kubelet),
    },
  };
}

/**
 * There is one file system, so the service account cannot be at its well-known path for every pod. It comes as
 * KUBECONFIG, which every client library looks at first.
 */
function kubeconfigEnv(pod: KubeObject, podDir: string, kubelet: KubeletOptions): Record<string, string> {
  const { serviceAccountName = 'default', automountServiceAccountToken = true } = specOf(pod);
  if (!automountServiceAccountToken) return {};
  const path = join(podDir, 'kubeconfig');
  mkdirSync(podDir, { recursive: true });
  const text = kubelet.kubeconfigFor(pod.metadata.namespace ?? 'default', serviceAccountName);
  writeFileSync(path, text, { mode: 0o600 });
  return { KUBECONFIG: path };
}

function argvOf(container: ContainerSpec, image: Image, { env, podIp, rewrite }: HandlerContext): string[] {
  const expand = (text: string) => rewrite(expandVariables(text, env));
  const command = container.command?.map(expand) ?? image.entrypoint;
  return [...command, ...(container.args ?? []).map(expand), ...image.extraArgs(podIp)];
}
