/**
 * An open load in a process of its own: requests leave at fixed times whatever became of those before, and each
 * one's latency counts from the time at which it was due. A generator that waits for answers would send less while
 * the system is slow and so leave out just the latencies that matter (coordinated omission).
 *
 *     node open-load.ts RATE SECONDS HOST:PORT/PATH[,HOST:PORT/PATH…]
 *
 * Targets take turns. Prints one JSON line: requests, errors, latencies' p50, p95 and p99 in ms.
 */
import { Agent, request } from 'node:http';
import { percentile } from './bench.ts';

export interface OpenLoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

const [rate, seconds, list = ''] = process.argv.slice(2);
const intervalMs = 1_000 / Number(rate);
const count = Math.round(Number(rate) * Number(seconds));
const targets = list.split(',').map((text) => new URL(`http://${text}`));
const agent = new Agent({ keepAlive: true, maxSockets: Infinity, scheduling: 'lifo' });
const latencies: number[] = [];
let errors = 0;
let sent = 0;
let ended = 0;
const startedAt = performance.now() + 20;

function send(dueAt: number): void {
  const target = targets[sent++ % targets.length] as URL;
  const end = (isGood: boolean): void => {
    latencies.push(performance.now() - dueAt);
    if (!isGood) errors++;
    if (++ended === count) finish();
  };
  const req = request({ host: target.hostname, port: target.port, path: target.pathname, agent }, (res) => {
    res.resume();
    res.once('end', () => end(res.statusCode === 200));
  });
  req.once('error', () => end(false));
  req.end();
}

function finish(): void {
  agent.destroy();
  const sorted = latencies.toSorted((a, b) => a - b);
  const result: OpenLoadResult = {
    requests: count,
    errors,
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    p99Ms: percentile(sorted, 0.99),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function tick(): void {
  const now = performance.now();
  while (sent < count && startedAt + sent * intervalMs <= now) send(startedAt + sent * intervalMs);
  if (sent < count) setTimeout(tick, 1);
}

tick();
