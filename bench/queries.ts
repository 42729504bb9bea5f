/**
 * What do triggers with PromQL cost when every function has one of its own? In the thread of the queries: one scrape of
 * all their series, and one evaluation of all queries. In the thread that leads: what it takes to post a round and to
 * take the answers. At two sizes, because what matters is how it grows.
 */
import { MessageChannel } from 'node:worker_threads';
import { labelsOf } from '../scaler/promql/labels.ts';
import { createSeriesStore } from '../scaler/promql/query.ts';
import type {
  FromQueryThread,
  QueryRule,
  RuleAnswers,
  ToQueryThread,
} from '../scaler/queries/query-messages.ts';
import { QueryRules } from '../scaler/queries/query-rules.ts';
import { median, type Bench, type Row } from './lib/bench.ts';

const SIZES = [1_000, 10_000];
const SCRAPE_MS = 15_000;

export const bench: Bench = {
  name: 'queries',
  describe:
    '1,000 and 10,000 functions, each with a PromQL query of its own: a scrape, all queries, and their posting',
  async run({ quick }) {
    return SIZES.flatMap((functions) => measure(functions, quick ? 5 : 15));
  },
};

function measure(functions: number, rounds: number): Row[] {
  const store = createSeriesStore();
  const names = Array.from({ length: functions }, (_, i) => `f${i}`);
  const budgets = { functionMs: 60_000, roundMs: 60_000 };
  const clock = (): number => performance.now();
  const rules = new QueryRules({ store, retentionMs: 1_800_000, clock, budgets });
  const set = names.map((name, i) => ruleOf(name, i + 1));
  const compile = timed(() => rules.change(set, []));
  const [scrapes, evaluations, posts, takes]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 1; round <= rounds; round++) {
    const now = round * SCRAPE_MS;
    const samples = names.map((name) => ({
      labels: labelsOf({ __name__: 'http_requests_total', namespace: 'shop', function: name }),
      value: round * 15,
    }));
    rules.roundBegun();
    scrapes.push(timed(() => store.scrape('exporter', samples, now)));
    rules.roundDone({ begunMs: now, everyMs: SCRAPE_MS, isLeader: true });
    let answers: readonly RuleAnswers[] = [];
    evaluations.push(timed(() => (answers = rules.evaluate(now))));
    posts.push(timed(() => cloned(scrapeOf(names))));
    const stats = {
      ...store.stats,
      refused: new Map<string, number>(),
      sources: { polls: 0, pollsInLine: 0, namesInLine: 0 },
    };
    takes.push(timed(() => cloned({ kind: 'alive', answers, stats })));
  }
  const row = (metric: string, values: readonly number[]): Row => ({
    case: `${functions} functions`,
    metric,
    value: median(values),
    unit: 'ms',
  });
  return [
    row('compile all', [compile]),
    row('a scrape', scrapes),
    row('all queries', evaluations),
    row('main: post a round', posts),
    row('main: take all answers', takes),
  ];
}

function ruleOf(name: string, id: number): QueryRule {
  const queries = ['sum(rate(http_requests_total[1m]))'];
  return {
    key: `shop/${name}`,
    id,
    scope: { namespace: 'shop', function: name },
    queries,
    intervalMs: SCRAPE_MS,
  };
}

/** A pod and a gauge of each function, as the main thread puts them together. */
function scrapeOf(names: readonly string[]): ToQueryThread {
  const targets = names.map((name) => ({
    url: `http://10.0.0.1:8080/metrics`,
    labels: { namespace: 'shop', function: name, pod: `${name}-7d9f8-x2z` },
    owner: `shop/${name}`,
    kind: 'function',
  }));
  const functions = names.map((name) => `shop/${name}`).join('\n');
  const own = {
    gauges: ['slimfaas_function_running_requests'],
    functions,
    values: new Float64Array(names.length),
  };
  return {
    kind: 'scrape',
    targets: JSON.stringify(targets),
    own,
    everyMs: 5_000,
    isLeader: true,
    requested: 0,
  };
}

/** Both the writing and the reading of a message; of each the main thread has one of them. */
function cloned(message: ToQueryThread | FromQueryThread): void {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(message);
  port1.close();
  port2.close();
}

function timed(run: () => void): number {
  const begun = performance.now();
  run();
  return performance.now() - begun;
}
