/** Applying manifests as `kubectl apply -f` would, for what this process brings along itself. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { UsageError } from '../../common/runtime/errors.ts';
import { KINDS } from './api/objects/kinds.ts';
import type { StatusError, ClusterApi, KubeObject } from './api/objects/types.ts';

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
    // The first line; after it comes a drawing of the place.
    if (error) throw new UsageError(`${place}: ${error.message.split('\n')[0]?.replace(/:$/, '')}`);
    const content: unknown = document.toJS();
    if (content === null) return [];
    if (!isMap(content) || content['kind'] !== 'List') return [checked(content, place)];
    const { items } = content;
    if (!Array.isArray(items)) throw new UsageError(`${place}: items: a List needs a list of manifests`);
    return items.map((item, n) => checked(item, `${place}, items[${n}]`));
  });
}

type Fields = Readonly<Record<string, unknown>>;

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** As much as is needed to send it; the API checks the rest. */
function checked(content: unknown, origin: string): Manifest {
  if (!isMap(content)) throw new UsageError(`${origin}: a manifest is a map of fields`);
  for (const field of ['apiVersion', 'kind']) {
    const value = content[field];
    if (typeof value !== 'string' || value === '') throw new UsageError(`${origin}: ${field} is missing`);
  }
  const { metadata } = content;
  const named = isMap(metadata) && [metadata['name'], metadata['generateName']].some(Boolean);
  if (!named) throw new UsageError(`${origin}: metadata.name is missing`);
  return { object: content as unknown as KubeObject, origin };
}

/**
 * Creates each object, or brings an existing one's spec, data and annotations to what the manifest says.
 * @throws UsageError with origin and the API's own message, which names the field
 */
export async function applyManifests(api: ClusterApi, manifests: readonly Manifest[]): Promise<void> {
  for (const { object, origin } of manifests) {
    try {
      await applyOne(api, object);
    } catch (cause) {
      throw new UsageError(`${origin}: ${(cause as Error).message}`, { cause });
    }
  }
}

async function applyOne(api: ClusterApi, object: KubeObject): Promise<void> {
  const kind = KINDS.find((candidate) => candidate.kind === object.kind);
  if (!kind) throw new UsageError(`kind: the local cluster knows no ${JSON.stringify(object.kind)}`);
  if (kind.isNamespaced) object.metadata.namespace ??= 'default';
  try {
    await api.create(kind.resource, object);
  } catch (error) {
    if ((error as StatusError).reason !== 'AlreadyExists') throw error;
    const { namespace, name } = object.metadata;
    await api.modify(kind.resource, namespace, name, (draft) => merge(draft, object));
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
