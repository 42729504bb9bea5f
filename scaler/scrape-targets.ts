/**
 * What is scraped: pods of functions that ask for it with Prometheus's usual annotations, and their sidecars
 * where a query names one of the sidecar's metrics.
 */
import { isIPv6 } from 'node:net';
import { SIDECAR_ADMIN_PORT } from '../common/names.ts';
import type { Pod, Workload } from './kube-objects.ts';
import type { ScrapeTarget } from './scraper.ts';
import type { World } from './world.ts';

/** Where a pod's own metrics are; `port` undefined: the function's. */
export interface ScrapeHint {
  readonly port: number | undefined;
  readonly path: string;
}

const SIDECAR_METRIC = /slimfaas_sidecar_/;

/** `prometheus.io/scrape`, `/port` and `/path`; undefined for a pod that does not ask. */
export function scrapeHint(
  annotations: Readonly<Record<string, string>> | undefined,
): ScrapeHint | undefined {
  if (annotations?.['prometheus.io/scrape']?.trim().toLowerCase() !== 'true') return undefined;
  const port = Number(annotations['prometheus.io/port'] ?? Number.NaN);
  const path = annotations['prometheus.io/path']?.trim() || '/metrics';
  const isPort = Number.isSafeInteger(port) && port > 0 && port < 65_536;
  return { port: isPort ? port : undefined, path: path.startsWith('/') ? path : `/${path}` };
}

export function scrapeTargets(world: World, queries: Iterable<string>): ScrapeTarget[] {
  const wantsSidecars = [...queries].some((text) => SIDECAR_METRIC.test(text));
  const targets: ScrapeTarget[] = [];
  for (const workload of world.workloads()) {
    if (!workload.fn) continue;
    for (const pod of world.podsOf(workload).values())
      if (pod.ip !== undefined && !pod.isEnding) targets.push(...targetsOf(workload, pod, wantsSidecars));
  }
  return targets;
}

function targetsOf(workload: Workload, pod: Pod, wantsSidecars: boolean): ScrapeTarget[] {
  const { namespace, name } = workload.id;
  const labels = { namespace, function: name, pod: pod.name };
  const port = pod.scrape?.port ?? workload.fn?.port;
  const targets: ScrapeTarget[] = [];
  if (pod.scrape && port !== undefined)
    targets.push({ url: `http://${hostOf(pod)}:${port}${pod.scrape.path}`, labels });
  if (wantsSidecars && pod.hasSidecar)
    targets.push({ url: `http://${hostOf(pod)}:${SIDECAR_ADMIN_PORT}/metrics`, labels });
  return targets;
}

function hostOf({ ip = '' }: Pod): string {
  return isIPv6(ip) ? `[${ip}]` : ip;
}
