/**
 * Objects of the cluster that a part could not handle. The operator gets a metric, and a log line that names the
 * object. It is logged once each, because one that changes all the time must not fill the log.
 */
import { describeError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { Counter, type Registry } from '../runtime/metrics.ts';
import type { OnFailedObject } from './watched.ts';

/** Beyond that many different ones the oldest is forgotten, and told again. */
const MAX_TOLD = 1_000;

export function createObjectFailures(registry: Registry, log: Log): OnFailedObject {
  const failures = new Counter({
    name: 'slimfaas_object_failures_total',
    help: 'Kubernetes objects that could not be handled; each costs itself alone',
    labelNames: ['resource'] as const,
    registers: [registry],
  });
  const told = new Set<string>();
  return (path, { metadata }, error) => {
    const { namespace, name, uid } = metadata ?? {};
    const resource = path.slice(path.lastIndexOf('/') + 1);
    failures.inc({ resource });
    const text = describeError(error);
    const key = `${resource} ${uid} ${text}`;
    if (told.has(key)) return;
    told.add(key);
    const [oldest] = told;
    if (told.size > MAX_TOLD && oldest !== undefined) told.delete(oldest);
    const stack = error instanceof Error ? error.stack?.slice(0, 2_000) : undefined;
    log.error({ resource, namespace, name, error: text, stack }, 'this object cannot be handled');
  };
}
