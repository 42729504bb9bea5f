/**
 * Volumes as folders of this machine. Secrets, config maps and projected sources are written out once and
 * again whenever they change; claims keep their folder for as long as the cluster runs, over pods.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import type { ClusterApi, KubeObject } from '../../api/objects/types.ts';
import { ConfigError, dataOf, fieldValue, type PodAddresses } from './env.ts';
import type { Mount } from './expansion.ts';
import {
  specOf,
  type ContainerSpec,
  type DownwardItem,
  type FileItem,
  type VolumeSource,
} from '../pods/pod-spec.ts';

export interface VolumeContext {
  readonly api: ClusterApi;
  readonly pod: KubeObject;
  readonly addresses: PodAddresses;
  /** The pod's own folder. */
  readonly podDir: string;
  readonly claimsDir: string;
  readonly token: (audience: string | undefined) => string;
}

type Files = Map<string, Buffer>;

/**
 * Makes or refreshes the folders of a pod's volumes.
 * @throws ConfigError when a source does not exist (yet)
 */
export function writeVolumes(context: VolumeContext): void {
  for (const volume of specOf(context.pod).volumes ?? []) {
    const dir = hostDirOf(context, volume);
    if (!volume.hostPath) mkdirSync(dir, { recursive: true });
    const files = filesOf(context, volume);
    for (const [path, content] of files) writeFile(join(dir, normalize(`/${path}`)), content);
    if (isWritten(volume)) removeOthers(dir, files);
  }
}

function isWritten({ secret, configMap, projected, downwardAPI }: VolumeSource): boolean {
  return [secret, configMap, projected, downwardAPI].some((source) => source !== undefined);
}

/** Keys that a source has lost. */
function removeOthers(dir: string, files: Files): void {
  const kept = new Set([...files.keys()].map((path) => normalize(`/${path}`).slice(1)));
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !kept.has(relative(dir, path))) rmSync(path);
  }
}

/** True for a pod whose volumes show that Secret or ConfigMap. */
export function usesSource(pod: KubeObject, kind: 'secret' | 'configMap', name: string): boolean {
  return (specOf(pod).volumes ?? []).some((volume) => {
    const direct = kind === 'secret' ? volume.secret?.secretName : volume.configMap?.name;
    return direct === name || volume.projected?.sources?.some((source) => source[kind]?.name === name);
  });
}

/** Where each of a container's mounts really is. */
export function mountsOf(context: VolumeContext, container: ContainerSpec): Mount[] {
  const volumes = specOf(context.pod).volumes ?? [];
  return (container.volumeMounts ?? []).flatMap(({ name, mountPath, subPath }) => {
    const volume = volumes.find((candidate) => candidate.name === name);
    if (!volume) return [];
    return [{ mountPath, hostPath: join(hostDirOf(context, volume), subPath ?? '') }];
  });
}

function hostDirOf(
  { pod, podDir, claimsDir }: VolumeContext,
  volume: { name: string } & VolumeSource,
): string {
  if (volume.hostPath) return volume.hostPath.path;
  const claim = volume.persistentVolumeClaim?.claimName;
  if (claim) return join(claimsDir, pod.metadata.namespace ?? 'default', claim);
  return join(podDir, 'volumes', volume.name);
}

function filesOf(context: VolumeContext, volume: VolumeSource): Files {
  if (volume.secret) {
    const { secretName: name, ...rest } = volume.secret;
    return keyed(context, 'secrets', { name, ...rest });
  }
  if (volume.configMap) return keyed(context, 'configmaps', volume.configMap);
  if (volume.downwardAPI) return downward(context, volume.downwardAPI.items);
  const files: Files = new Map();
  for (const source of volume.projected?.sources ?? []) {
    const some = source.secret
      ? keyed(context, 'secrets', source.secret)
      : source.configMap
        ? keyed(context, 'configmaps', source.configMap)
        : downward(context, source.downwardAPI?.items);
    for (const [path, content] of some) files.set(path, content);
    const token = source.serviceAccountToken;
    if (token) files.set(token.path, Buffer.from(context.token(token.audience)));
  }
  return files;
}

function keyed(
  { api, pod }: VolumeContext,
  resource: 'secrets' | 'configmaps',
  { name, items, optional }: { name: string; items?: FileItem[]; optional?: boolean },
): Files {
  const data = dataOf(api, resource, pod.metadata.namespace ?? 'default', name);
  if (!data && optional) return new Map();
  if (!data) throw new ConfigError(`${resource === 'secrets' ? 'secret' : 'configmap'} "${name}" not found`);
  if (!items) return data;
  const chosen = items.map(({ key, path }) => {
    const content = data.get(key);
    if (!content && !optional) throw new ConfigError(`references non-existent ${resource} key: ${key}`);
    return [path, content ?? Buffer.alloc(0)] as const;
  });
  return new Map(chosen);
}

function downward({ pod, addresses }: VolumeContext, items: readonly DownwardItem[] = []): Files {
  return new Map(
    items.flatMap(({ path, fieldRef }) =>
      fieldRef ? [[path, Buffer.from(fieldValue(pod, fieldRef.fieldPath, addresses))] as const] : [],
    ),
  );
}

/** Whole or not at all, for readers that reload on change; for the owner only: these may be keys. */
function writeFile(path: string, content: Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, content, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
