/** Applying manifests as `kubectl apply -f` would, for what this process brings along itself. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { UsageError } from '../common/errors.ts';
import { KINDS } from './api/kinds.ts';
import type { ApiFault, ClusterApi, KubeObject } from './api/types.ts';

export interface Manifest {
  readonly object: KubeObject;
  /** File and document, for errors. */
  readonly origin: string;
}

/**
 * @param path a YAML file, or a folder whose `.yaml` and `.yml` files are read in the order of their names
 * @throws UsageError naming file, document and problem
 */
export function readManifests(path: string): Manifest[] {
  let files: string[];
  try {
    files = statSync(path).isDirectory()
      ? readdirSync(path)
          .filter((name) => /\.ya?ml$/.test(name))
          .toSorted()
          .map((name) => join(path, name))
      : [path];
  } catch (cause) {
    throw new UsageError(`${path}: no such file or folder`, { cause });
  }
  return files.flatMap((file) => parseManifests(readFileSync(file, 'utf8'), file));
}

/** @throws UsageError naming origin, line and problem */
export function parseManifests(text: string, origin: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document, i) => {
    const place = `${origin}, document ${i + 1}`;
    const [error] = document.errors;
    if (error) throw new UsageError(`${place}: ${error.message}`);
    const object = document.toJS() as KubeObject | null;
    if (object === null) return [];
    if (typeof object !== 'object' || !object.kind || !object.apiVersion) {
      throw new UsageError(`${place}: a manifest needs apiVersion and kind`);
    }
    return object.kind === 'List'
      ? (object['items'] as KubeObject[]).map((item) => ({ object: item, origin: place }))
      : [{ object, origin: place }];
  });
}

/**
 * Creates each object, or brings an existing one's spec, data and annotations to what the manifest says.
 * @throws UsageError with the API's own message
 */
export async function applyManifests(api: ClusterApi, manifests: readonly Manifest[]): Promise<void> {
  for (const { object, origin } of manifests) {
    const kind = KINDS.find((candidate) => candidate.kind === object.kind);
    if (!kind)
      throw new UsageError(`${origin}: the local cluster knows no kind ${JSON.stringify(object.kind)}`);
    if (kind.isNamespaced) object.metadata.namespace ??= 'default';
    try {
      await api.create(kind.resource, object);
    } catch (cause) {
      if ((cause as ApiFault).code !== 409)
        throw new UsageError(`${origin}: ${(cause as Error).message}`, { cause });
      const { namespace, name } = object.metadata;
      await api.modify(kind.resource, namespace, name, (draft) => merge(draft, object));
    }
  }
}

function merge(draft: KubeObject, wanted: KubeObject): void {
  for (const [field, value] of Object.entries(wanted)) {
    if (field === 'metadata' || field === 'status') continue;
    draft[field] = typeof value === 'object' && !Array.isArray(value) ? { ...draft[field], ...value } : value;
  }
  draft.metadata.labels = { ...draft.metadata.labels, ...wanted.metadata.labels };
  draft.metadata.annotations = { ...draft.metadata.annotations, ...wanted.metadata.annotations };
}
