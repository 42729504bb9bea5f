/**
 * Finds the pods in a manifest, whatever kind wraps them, and says what about them no API server would take.
 * It reads plain objects and believes nothing about their shape.
 */
import type { V1Pod } from '../../common/kube/client.ts';
import type { Path } from './manifest-yaml.ts';

export interface ManifestWorkload {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** From the document's root to the workload and to its pod. */
  readonly path: Path;
  readonly podPath: Path;
  readonly pod: V1Pod;
  /** False where `pod` is not of the shape of a pod. */
  readonly isInjectable: boolean;
  readonly problems: readonly ManifestProblem[];
}

export interface ManifestProblem {
  readonly message: string;
  readonly path: Path;
}

/** Where a kind keeps its pod. */
const POD_PATHS: Readonly<Record<string, Path>> = {
  Pod: [],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
};

type Fields = Readonly<Record<string, unknown>>;

/** @param root one document as plain data; `kind: List` is looked into */
export function findWorkloads(root: unknown, path: Path = []): ManifestWorkload[] {
  if (!isFields(root)) return [];
  const { kind } = root;
  if (typeof kind !== 'string') return [];
  if (kind.endsWith('List') && Array.isArray(root['items']))
    return root['items'].flatMap((item, index) => findWorkloads(item, [...path, 'items', index]));
  const podPath = POD_PATHS[kind];
  return podPath ? [workloadOf(kind, root, path, [...path, ...podPath])] : [];
}

function workloadOf(kind: string, root: Fields, path: Path, podPath: Path): ManifestWorkload {
  const meta = fieldsOf(root['metadata']);
  const found = at(root, podPath.slice(path.length));
  const { pod, problems } = readPod(fieldsOf(found), podPath);
  return {
    kind,
    namespace: stringOr(meta['namespace'], 'default'),
    name: stringOr(meta['name'], stringOr(meta['generateName'], 'unnamed').replace(/-$/, '')),
    path,
    podPath,
    pod,
    isInjectable: Array.isArray(pod.spec?.containers) && pod.spec.containers.every(isFields),
    problems: [...problems, ...misplaced(kind, meta, path)],
  };
}

function readPod(found: Fields, podPath: Path): { pod: V1Pod; problems: ManifestProblem[] } {
  const meta = fieldsOf(found['metadata']);
  const annotations = fieldsOf(meta['annotations']);
  const quoted = Object.entries(annotations).map(([key, value]) => [key, textOf(value)]);
  const pod = { ...found, metadata: { ...meta, annotations: Object.fromEntries(quoted) } } as V1Pod;
  const base = [...podPath, 'metadata', 'annotations'];
  const problems: ManifestProblem[] = Object.entries(annotations)
    .filter(([key, value]) => isOurs(key) && typeof value !== 'string')
    .map(([key, value]) => ({
      path: [...base, key],
      message: `${key}: annotations are text, and this is a ${typeof value}; quote it: ${key}: ${JSON.stringify(textOf(value))}`,
    }));
  const isFunction = Object.keys(annotations).some(isOurs);
  if (isFunction && !Array.isArray(fieldsOf(found['spec'])['containers']))
    problems.push({ path: podPath, message: 'spec.containers is missing or not a list: not a pod' });
  return { pod, problems };
}

/** The commonest mistake: annotations on the Deployment itself, where no pod ever sees them. */
function misplaced(kind: string, meta: Fields, path: Path): ManifestProblem[] {
  if (kind === 'Pod') return [];
  return Object.keys(fieldsOf(meta['annotations']))
    .filter(isOurs)
    .map((key) => ({
      path: [...path, 'metadata', 'annotations', key],
      message: isOfJobs(key)
        ? `${key} is ignored: slimfaas starts no Kubernetes Jobs for callers; long work is a call of /async-function (docs/reference/jobs.md)`
        : `${key} is on the ${kind} itself; it works on the pod template only (${POD_PATHS[kind]?.join('.')}.metadata.annotations)`,
    }));
}

/** SlimFaas has Jobs that callers start, described by a CronJob's own annotations. */
function isOfJobs(annotation: string): boolean {
  return /^slimfaas\/job/i.test(annotation);
}

function isOurs(annotation: string): boolean {
  return /^slimfaas(\.dev)?\//i.test(annotation);
}

function at(root: unknown, path: Path): unknown {
  let value = root;
  for (const key of path) value = fieldsOf(value)[key];
  return value;
}

function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringOr(value: unknown, fallback: string): string {
  return typeof value === 'string' && value !== '' ? value : fallback;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}
