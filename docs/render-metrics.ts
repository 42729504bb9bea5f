/** The page of metrics, from the registries that the parts fill. Nothing is measured for it. */
import { createBusMetrics, registerUnauthenticated } from '../common/bus/bus-metrics.ts';
import { createObjectFailures } from '../common/kube/object-failures.ts';
import { silentLog } from '../common/runtime/log.ts';
import { createRegistry, type Registry } from '../common/runtime/metrics.ts';
import { callbackPosts, registerJobGauges } from '../proxy/jobs/job-metrics.ts';
import { registerGauges } from '../proxy/metrics/proxy-gauges.ts';
import { createProxyMetrics } from '../proxy/metrics/proxy-metrics.ts';
import { registerServiceMetrics } from '../proxy/services/service-metrics.ts';
import { registerSliceMetrics } from '../scaler/services/slice-metrics.ts';
import { countLimits, createScalerMetrics, registerScalerGauges } from '../scaler/status/metrics.ts';
import { registerSidecarMetrics } from '../sidecar/admin/metrics.ts';
import { createWebhookMetrics } from '../webhook/metrics.ts';

interface Part {
  readonly name: string;
  readonly where: string;
  readonly register: (registry: Registry) => void;
}

/** Stands for what the metrics are read from at a scrape: each of its fields is one like it. */
const nothing: never = new Proxy(() => nothing, { get: () => nothing }) as never;

const PARTS: readonly Part[] = [
  {
    name: 'proxy',
    where: 'Ports 5000 and 5003. Port 5000 leaves out the functions that the caller may not call.',
    register(registry) {
      createProxyMetrics(registry);
      registerGauges(registry, nothing);
      registerJobGauges(registry, nothing);
      callbackPosts(registry);
      registerServiceMetrics(registry, nothing);
      createObjectFailures(registry, silentLog);
      createBusMetrics(registry, nothing);
    },
  },
  {
    name: 'scaler',
    where: 'Port 5001. Metrics of functions come from the leader alone, so a sum over replicas is right.',
    register(registry) {
      createScalerMetrics(registry);
      countLimits(registry);
      registerScalerGauges(registry, nothing);
      registerSliceMetrics(registry, nothing);
      createObjectFailures(registry, silentLog);
      createBusMetrics(registry, nothing);
    },
  },
  { name: 'webhook', where: 'Port 5002.', register: createWebhookMetrics },
  {
    name: 'sidecar',
    where: 'Port 15081 of each pod.',
    register(registry) {
      registerSidecarMetrics(registry, nothing);
      registerUnauthenticated(registry, nothing);
    },
  },
];

const HEAD = `# Metrics

Written by \`npm run docs\` from the registries that the parts fill.

Each part has \`GET /metrics\` in the text format of Prometheus. Labels are never a pod or a path.
So the number of series grows with the number of functions alone.
[Operations](../operations.md#what-should-i-alert-on) has rules for alerts.
`;

export async function metricsPage(): Promise<string> {
  const sections = await Promise.all(PARTS.map(section));
  return [HEAD, ...sections].join('\n');
}

/** The names of all metrics of all parts. */
export async function metricNames(): Promise<string[]> {
  const perPart = await Promise.all(PARTS.map(metricsOf));
  return [...new Set(perPart.flat().map(({ name }) => name))];
}

async function section(part: Part): Promise<string> {
  const rows = (await metricsOf(part)).map(
    ({ name, type, help, labels }) => `| \`${name}\` | ${type} | ${labels || '–'} | ${help} |`,
  );
  const head = ['| metric | type | labels | meaning |', '|---|---|---|---|'];
  return [`## ${part.name}`, '', part.where, '', ...head, ...rows, ''].join('\n');
}

interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: string;
}

/** Reads what each metric says of itself, not its values. */
async function metricsOf({ name: part, register }: Part): Promise<Metric[]> {
  const registry = createRegistry(part, '0');
  register(registry);
  return registry
    .getMetricsAsArray()
    .map((metric) => {
      const { name, help, labelNames = [] } = metric as unknown as Named;
      const labels = labelNames.map((label) => `\`${label}\``).join(', ');
      return { name, help, labels, type: metric.constructor.name.toLowerCase() };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** What prom-client's objects have and its types leave out. */
interface Named {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
}
