/**
 * The three patch formats a client may send. JSON patch (RFC 6902) is a library's; merge patch (RFC 7386) is
 * ten lines; strategic merge patch is in its own file. Server-side apply is refused: it needs field ownership,
 * which this API does not keep, and a merge that forgets to remove fields would be worse than a refusal.
 */
import jsonPatch from 'fast-json-patch';
import type { Operation } from 'fast-json-patch';
import { ApiError, badRequest, unsupportedMediaType } from '../objects/api-errors.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { JsonObject } from '../http/json.ts';
import { strategicMerge } from './strategic-merge.ts';

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
] as const;

/** RFC 7386: null removes, objects merge, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/** Leaves `target` alone. Kubernetes answers 422 to an operation that cannot be applied, a failed test too. */
export function applyJsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw badRequest('a JSON patch is an array of operations');
  try {
    return jsonPatch.applyPatch(target, operations as Operation[], true, false).newDocument;
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    const text = `the server rejected our request due to an error in our request: ${why}`;
    throw new ApiError(422, 'Invalid', text);
  }
}

/** Refuses a type that nobody here can apply, before anything is looked up. */
export function checkPatchType(contentType: string): void {
  if ((PATCH_TYPES as readonly string[]).includes(contentType)) return;
  const why = contentType.startsWith('application/apply-patch')
    ? `${contentType}: server-side apply is not served here, use client-side apply`
    : contentType || 'no content type';
  throw unsupportedMediaType(why, PATCH_TYPES);
}

/** `contentType` without parameters. */
export function applyPatch(contentType: string, target: unknown, patch: unknown): unknown {
  checkPatchType(contentType);
  if (contentType === 'application/json-patch+json') return applyJsonPatch(target, patch);
  if (!isObject(patch)) throw badRequest('a merge patch is an object');
  if (contentType === 'application/merge-patch+json') return mergePatch(target, patch);
  return strategicMerge(target as JsonObject, patch);
}
