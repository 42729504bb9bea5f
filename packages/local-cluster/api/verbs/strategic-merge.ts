/**
 * Strategic merge patch: a merge patch that knows which lists are keyed. What `kubectl apply`, `scale`, `set`
 * and `rollout restart` send. The keys are those of the Go types' `patchMergeKey` tags; lists that are not in
 * the table are atomic (tolerations and taints among them) and get replaced.
 *
 * Directives: `$patch: delete | replace | merge`, `$retainKeys`, `$deleteFromPrimitiveList/<list>`,
 * `$setElementOrder/<list>`.
 */
import { badRequest } from '../objects/api-errors.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { JsonObject } from '../http/json.ts';

const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  imagePullSecrets: 'name',
  resourceClaims: 'name',
  hostAliases: 'ip',
  podIPs: 'ip',
  hostIPs: 'ip',
  topologySpreadConstraints: 'topologyKey',
  conditions: 'type',
  addresses: 'type',
  ownerReferences: 'uid',
  secrets: 'name',
  webhooks: 'name',
  matchConditions: 'name',
};

/** Lists of plain values that are merged as sets. */
const SETS: ReadonlySet<string> = new Set(['finalizers', 'podCIDRs']);

/** A container's ports are keyed by containerPort, a Service's by port. */
function mergeKeyOf(list: string, items: readonly unknown[]): string | undefined {
  if (list !== 'ports') return MERGE_KEYS[list];
  return items.some((item) => isObject(item) && 'containerPort' in item) ? 'containerPort' : 'port';
}

export function strategicMerge(target: JsonObject, patch: JsonObject): JsonObject {
  if (patch.$patch === 'delete') return {};
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  const merged = retained(target, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    if (value === null) delete merged[key];
    else if (Array.isArray(value)) merged[key] = mergeList(key, merged[key], value);
    else if (isObject(value)) mergeMember(merged, key, value);
    else merged[key] = value;
  }
  applyListDirectives(merged, patch);
  return merged;
}

/** Merging with nothing still strips the directives that a new object's patch may carry. */
function mergeMember(merged: JsonObject, key: string, value: JsonObject): void {
  const before = merged[key];
  if (value.$patch === 'delete') delete merged[key];
  else merged[key] = strategicMerge(isObject(before) ? before : {}, value);
}

/** `$retainKeys` names the only members that may stay, as where one kind of volume replaces another. */
function retained(target: JsonObject, patch: JsonObject): JsonObject {
  const keys = patch.$retainKeys;
  if (!Array.isArray(keys)) return { ...target };
  return Object.fromEntries(Object.entries(target).filter(([key]) => keys.includes(key)));
}

/** What a patch's object becomes where there is nothing to merge it with. */
function withoutDirectives(value: JsonObject): JsonObject {
  const { $patch: _, ...rest } = value;
  return strategicMerge({}, rest);
}

function mergeList(list: string, before: unknown, patch: readonly unknown[]): unknown[] {
  const existing = Array.isArray(before) ? before : [];
  if (SETS.has(list)) return [...new Set([...existing, ...patch])];
  const mergeKey = mergeKeyOf(list, [...existing, ...patch]);
  if (mergeKey === undefined) return [...patch];
  if (patch.some((item) => isObject(item) && item.$patch === 'replace')) {
    return patch.filter((item) => isObject(item) && item.$patch !== 'replace');
  }
  return patch.reduce<unknown[]>((items, item) => mergeItem(items, item, mergeKey), [...existing]);
}

/** In place where the key is known, at the end where it is new. */
function mergeItem(items: unknown[], item: unknown, mergeKey: string): unknown[] {
  if (!isObject(item) || item[mergeKey] === undefined) {
    throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
  }
  const index = items.findIndex((other) => isObject(other) && other[mergeKey] === item[mergeKey]);
  if (item.$patch === 'delete') return index < 0 ? items : items.toSpliced(index, 1);
  if (index < 0) return [...items, withoutDirectives(item)];
  return items.with(index, strategicMerge(items[index] as JsonObject, item));
}

/** After the merge, when the list has all its items. */
function applyListDirectives(merged: JsonObject, patch: JsonObject): void {
  for (const [directive, value] of Object.entries(patch)) {
    const [name, list] = directive.split('/');
    if (list === undefined || !Array.isArray(value) || !Array.isArray(merged[list])) continue;
    const items: unknown[] = merged[list];
    if (name === '$deleteFromPrimitiveList') merged[list] = items.filter((item) => !value.includes(item));
    if (name === '$setElementOrder') merged[list] = ordered(items, identities(list, items, value));
  }
}

interface Identities {
  readonly of: (item: unknown) => unknown;
  readonly order: readonly unknown[];
}

/** The order is given as objects that hold the merge key only, or as plain values. */
function identities(list: string, items: readonly unknown[], order: readonly unknown[]): Identities {
  const mergeKey = mergeKeyOf(list, items);
  const of = (item: unknown) => (mergeKey !== undefined && isObject(item) ? item[mergeKey] : item);
  return { of, order: order.map(of) };
}

/**
 * Items of the order first to last. An item that only the server has stays behind the neighbour that it followed, so
 * that an injected container does not wander with every apply.
 */
function ordered(items: readonly unknown[], { of, order }: Identities): unknown[] {
  const known = items.filter((item) => order.includes(of(item)));
  const result = known.toSorted((a, b) => order.indexOf(of(a)) - order.indexOf(of(b)));
  items.forEach((item, index) => {
    if (order.includes(of(item))) return;
    const neighbour = index === 0 ? undefined : items[index - 1];
    result.splice(neighbour === undefined ? 0 : result.indexOf(neighbour) + 1, 0, item);
  });
  return result;
}
