/**
 * Kubernetes Events as the real components send them: an event repeated for one object, reason and message
 * raises the count of the first one instead of adding another. Sending never fails its caller.
 */
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import { timeText } from './workloads/objects.ts';

export interface KubeEventRecorder {
  normal(about: KubeObject, reason: string, message: string): void;
  warning(about: KubeObject, reason: string, message: string): void;
}

/** Counted events that are remembered; an older one simply starts again. */
const MAX_REMEMBERED_EVENTS = 2_000;

export function createEventRecorder(
  api: ClusterApi,
  component: string,
  now: () => number = Date.now,
): KubeEventRecorder {
  const known = new Map<string, { name: Promise<string>; namespace: string }>();

  const record = (about: KubeObject, type: string, reason: string, message: string) => {
    const key = JSON.stringify([about.metadata.uid, type, reason, message]);
    const namespace = about.metadata.namespace ?? 'default';
    const earlier = known.get(key);
    if (earlier) {
      void countAgain(earlier).catch(() => undefined);
      return;
    }
    if (known.size >= MAX_REMEMBERED_EVENTS) known.clear();
    const name = `${about.metadata.name}.${eventSuffix(now())}`;
    const body = eventBody(about, { type, reason, message, component }, timeText(now()));
    const created = api.create('events', {
      ...body,
      metadata: { name, namespace } as KubeObject['metadata'],
    });
    const entry = { name: created.then((event) => event.metadata.name), namespace };
    known.set(key, entry);
    // A namespace that is going away refuses events; nobody is to fail for that.
    entry.name.catch(() => known.delete(key));
  };
  const countAgain = async ({ name, namespace }: { name: Promise<string>; namespace: string }) => {
    await api.modify('events', namespace, await name, (event) => {
      event.count = ((event.count as number | undefined) ?? 1) + 1;
      event.lastTimestamp = timeText(now());
    });
  };
  return {
    normal: (about, reason, message) => record(about, 'Normal', reason, message),
    warning: (about, reason, message) => record(about, 'Warning', reason, message),
  };
}

interface EventText {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly component: string;
}

function eventBody(about: KubeObject, { component, ...text }: EventText, at: string) {
  const { name, namespace, uid, resourceVersion } = about.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    ...text,
    involvedObject: {
      apiVersion: about.apiVersion,
      kind: about.kind,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
    },
    count: 1,
    firstTimestamp: at,
    lastTimestamp: at,
    source: { component },
    reportingComponent: component,
    reportingInstance: '',
  };
}

let sequence = 0;

/** 16 hex digits of a time in nanoseconds, as client-go names events; a counter keeps them apart. */
function eventSuffix(now: number): string {
  sequence = (sequence + 1) % 1_000_000;
  return (BigInt(now) * 1_000_000n + BigInt(sequence)).toString(16);
}
