/**
 * What is scraped: pods of functions that ask for it with Prometheus's usual annotations, and their sidecars
 * where a query names one of the sidecar's metrics.
 */
import { isIPv6 } from 'node:net';
import { SIDECAR_ADMIN_PORT } from '../../common/function/names.ts';
import type { Pod, Workload } from '../world/kube-objects.ts';
import type { WorldView } from '../world/world.ts';

export interface ScrapeTarget {
  /** `http://10.0.0.7:8080/metrics`; the identity of the target too. */
  readonly url: string;
  /** What its series are stamped with. */
  readonly labels: { readonly namespace: string; readonly function?: string; readonly pod: string };
  /** The function whose pod it is, or the pod itself: what its bytes and failures are counted for. */
  readonly owner: string;
  /** `system`: our own proxies, which speak of all functions. */
  readonly kind: 'function' | 'sidecar' | 'other' | 'system';
  /** What the request shows beside the usual: our token, to our own parts alone. */
  readonly headers?: Readonly<Record<string, string>>;
}

const SIDECAR_METRIC = /slimfaas_sidecar_/;

/** Whether one of the queries names a metric of the sidecars. */
export function wantsSidecars(queries: Iterable<string>): boolean {
  for (const text of queries) if (SIDECAR_METRIC.test(text)) return true;
  return false;
}

export function scrapeTargets(world: WorldView, withSidecars: boolean): ScrapeTarget[] {
  const targets: ScrapeTarget[] = [];
  for (const workload of world.workloads()) {
    if (!workload.fn) continue;
    for (const pod of world.podsOf(workload).values())
      if (pod.ip !== undefined && !pod.isEnding) targets.push(...targetsOf(workload, pod, withSidecars));
  }
  return targets;
}

function targetsOf(workload: Workload, pod: Pod, withSidecars: boolean): ScrapeTarget[] {
  const { namespace, name } = workload.id;
  const known = { labels: { namespace, function: name, pod: pod.name }, owner: workload.key };
  const port = pod.scrape?.port ?? workload.fn?.port;
  const targets: ScrapeTarget[] = [];
  if (pod.scrape && port !== undefined)
    targets.push({ url: `http://${hostOf(pod)}:${port}${pod.scrape.path}`, ...known, kind: 'function' });
  if (withSidecars && pod.hasSidecar)
    targets.push({ url: `http://${hostOf(pod)}:${SIDECAR_ADMIN_PORT}/metrics`, ...known, kind: 'sidecar' });
  return targets;
}

function hostOf({ ip = '' }: Pod): string {
  return isIPv6(ip) ? `[${ip}]` : ip;
}
