/**
 * What do polled sources cost the scaler? 1,000 functions with an exporter's page of their own each, asked every 5 s, as
 * the thread of the queries asks them: the CPU of this process beside that of the pages, which another process serves.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { SourceRule } from '../scaler/sources/source-rules.ts';
import { openSource } from '../scaler/sources/open-source.ts';
import { SourcePollers } from '../scaler/sources/pollers.ts';
import { Reach } from '../scaler/sources/reach.ts';
import { SourceSeries } from '../scaler/sources/source-series.ts';
import type { Bench } from './lib/bench.ts';

const FUNCTIONS = 1_000;
const INTERVAL_MS = 5_000;
const SELF = fileURLToPath(import.meta.url);

export const bench: Bench = {
  name: 'sources',
  describe: '1,000 functions with a polled trigger each, every 5 s: the share of a core that it takes',
  async run({ quick }) {
    const pages = fork(SELF, ['pages']);
    try {
      const [port] = (await once(pages, 'message')) as [number];
      return await measure(port, quick ? 10_000 : 30_000);
    } finally {
      pages.kill();
    }
  },
};

async function measure(port: number, forMs: number) {
  let [answered, failed] = [0, 0];
  const reach = new Reach({ allow: ['127.0.0.1'], resolve: async () => [] });
  const series = new SourceSeries({ limits: {}, budgetMs: 200, onAtWork: () => {} });
  const now = Date.now;
  const pollers = new SourcePollers({
    open: (rule) => openSource(rule, { reach, series, now }),
    onAnswer: ({ readings }) => (readings[0]?.value === undefined ? failed++ : answered++),
    now,
  });
  const rules = Array.from({ length: FUNCTIONS }, (_, i) => ruleOf(i + 1, port));
  pollers.change(rules, []);
  await sleep(INTERVAL_MS * 2); // all have been asked, and are spread over the interval
  [answered, failed] = [0, 0];
  const [begun, beganMs] = [process.cpuUsage(), performance.now()];
  await sleep(forMs);
  const { user, system } = process.cpuUsage(begun);
  const tookMs = performance.now() - beganMs;
  pollers.change(
    [],
    rules.map(({ id }) => id),
  );
  reach.close();
  const name = `${FUNCTIONS} functions, every ${INTERVAL_MS / 1_000} s`;
  return [
    { case: name, metric: 'share of a core', value: (user + system) / 10 / tookMs, unit: '%' },
    { case: name, metric: 'answers per second', value: answered / (tookMs / 1_000), unit: '' },
    {
      case: name,
      metric: 'CPU of one answer',
      value: (user + system) / 1_000 / Math.max(1, answered),
      unit: 'ms',
    },
    { case: name, metric: 'failed', value: failed, unit: '' },
  ];
}

function ruleOf(id: number, port: number): SourceRule {
  const name = `f${id}`;
  return {
    id,
    // A few tenants share the turns.
    of: { namespace: `n${id % 20}`, name },
    source: {
      name: 'src',
      intervalMs: INTERVAL_MS,
      secret: undefined,
      type: 'metrics',
      url: `http://127.0.0.1:${port}/${name}`,
    },
    questions: [{ query: 'sum(jobs_pending{queue="a"})', metricName: '', hasOwnTarget: false }],
    credentials: {},
  };
}

if (process.argv[2] === 'pages') {
  const page = `# TYPE jobs_pending gauge\njobs_pending{queue="a"} 3\njobs_pending{queue="b"} 4\nother 5\n`;
  const server = createServer((_req, res) => res.end(page)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send?.((server.address() as AddressInfo).port);
}
