/**
 * Who gets an event: the functions of its namespace that subscribe to it, as far as its publisher may reach them, and
 * by which way each of them. Pure.
 */
import { isEventName } from '../../common/function/annotations/values.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import { visibilityOf } from '../functions/visibility.ts';

/** NATS takes subjects of some thousand bytes; a name is one token of them, and may be escaped to three times its length. */
const NAME_MAX = 253;

export interface EventName {
  readonly namespace: string;
  readonly event: string;
}

type Subscribers = Iterable<Pick<FunctionEntry, 'id' | 'view'>>;

/** @throws ReasonError `bad-request` for what no subscription can name */
export function checkEventName(name: string | undefined): string {
  if (name !== undefined && name.length <= NAME_MAX && isEventName(name)) return name;
  const allowed = `1 to ${NAME_MAX} characters, no white space, "/", "?" or "#"`;
  throw new ReasonError('bad-request', `no event named: use /publish-event/{event}/{path}; ${allowed}`);
}

/** Whether a function hears an event, as far as its publisher may know. */
export type Hears = (spec: FunctionSpec, event: string) => boolean;

/**
 * `event` in the own namespace, even if it has dots; else `event.namespace`, split at the last dot, as functions are
 * named. A caller that may not reach a subscription is answered as if there were none, here too.
 */
export function resolveEvent(name: string, ownNamespace: string, all: Subscribers, hears: Hears): EventName {
  const own = { namespace: ownNamespace, event: name };
  const dot = name.lastIndexOf('.');
  if (dot <= 0) return own;
  const other = { namespace: name.slice(dot + 1), event: name.slice(0, dot) };
  let isOthers = false;
  for (const { id, view } of all) {
    if (id.namespace === own.namespace && hears(view.spec, name)) return own;
    isOthers ||= id.namespace === other.namespace && hears(view.spec, other.event);
  }
  return isOthers ? other : own;
}

/**
 * From outside only what is Public reaches a function: the subscription, and the path by its rules. A path that no
 * rule names is as public as the subscription: `Public:` on an event opens it in a function that is Private else.
 */
export function mayReach(spec: FunctionSpec, event: string, path: string): boolean {
  const subscriptions = spec.subscribeEvents.filter((s) => s.event === event);
  if (subscriptions.some((s) => s.visibility === 'Private')) return false;
  const rules = { defaultVisibility: 'Public', pathVisibility: spec.pathVisibility } as const;
  return visibilityOf(rules, path) === 'Public';
}

export function subscribes(spec: Pick<FunctionSpec, 'subscribeEvents'> | undefined, event: string): boolean {
  return spec?.subscribeEvents.some((s) => s.event === event) ?? false;
}

/**
 * `pods`: each of its pods reads it. `queue`: no pod of it is there that would, so it waits as a job for the next.
 * A pod's own annotations count: during a rollout the old ones may not subscribe yet.
 */
export function wayTo({ pods }: Pick<FunctionEntry, 'pods'>, event: string): 'pods' | 'queue' {
  const hears = pods.ready.some(({ view }) => view.hasSidecar && subscribes(view.spec, event));
  return hears ? 'pods' : 'queue';
}
