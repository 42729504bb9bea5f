/**
 * Events are stored as core/v1 and shown under events.k8s.io/v1 too, where the same things have other names.
 */
import type { Kind } from '../objects/kinds.ts';
import type { KubeObject } from '../objects/types.ts';

/** events.k8s.io name → core name. */
const RENAMED: Readonly<Record<string, string>> = {
  regarding: 'involvedObject',
  note: 'message',
  reportingController: 'reportingComponent',
  deprecatedSource: 'source',
  deprecatedCount: 'count',
  deprecatedFirstTimestamp: 'firstTimestamp',
  deprecatedLastTimestamp: 'lastTimestamp',
};

function rename(object: KubeObject, names: Readonly<Record<string, string>>, apiVersion: string): KubeObject {
  const entries = Object.entries(object).map(([key, value]) => [names[key] ?? key, value]);
  return { ...(Object.fromEntries(entries) as KubeObject), apiVersion };
}

const TO_NEW = Object.fromEntries(Object.entries(RENAMED).map(([key, value]) => [value, key]));

const isNewEvent = ({ group, resource }: Kind) => group === 'events.k8s.io' && resource === 'events';

/** A stored object as the group of the request shows it. */
export function presenter(kind: Kind): (object: KubeObject) => KubeObject {
  return isNewEvent(kind) ? (object) => rename(object, TO_NEW, 'events.k8s.io/v1') : (object) => object;
}

/** A client's object as it is stored. */
export function storable(kind: Kind, object: KubeObject): KubeObject {
  return isNewEvent(kind) ? rename(object, RENAMED, 'v1') : object;
}
