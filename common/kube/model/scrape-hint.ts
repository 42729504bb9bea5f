/** What a pod's annotations say of its own metrics. */

/** Where a pod's own metrics are; `port` undefined: the function's. */
export interface ScrapeHint {
  readonly port: number | undefined;
  readonly path: string;
}

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
