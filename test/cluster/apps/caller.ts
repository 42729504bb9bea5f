/**
 * A pod that calls others from inside the cluster, so that load goes on while the API server, a port-forward or the
 * test's own connection is away.
 *
 *   POST /start {url, callers, paceMs, isFresh}   begins closed-loop callers, each on connections of its own (isFresh: for each call); answers with an id
 *   POST /stop/<id>                      ends them, and answers with what they saw
 *   POST /call {url, headers, timeoutMs} one call: {status, body, begunAt, endedAt}
 *   POST /poll {url}                     the same, every 20 ms until it is answered with 200
 *   POST /hold {address, ms}             opens a TCP connection to host:port for so long: {status: 200} when it is open
 */
import { Agent, createServer, request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import type { CallOrder, LoadOrder, LoadResult, TimedAnswer } from '../harness/caller.ts';

/** Calls that take longer are listed with their time, so that they can be found in logs. */
const SLOW_MS = 3_000;
const MAX_LISTED = 20;

class Load {
  #isOver = false;
  readonly #slow: LoadResult['slow'][number][] = [];
  readonly #times: number[] = [];
  readonly #begun: number[] = [];
  /** In the order in which they were first seen. */
  readonly #peers = new Set<string>();
  readonly #failures: LoadResult['failures'][number][] = [];
  readonly #callers: Promise<void>[];

  constructor(order: LoadOrder) {
    this.#callers = Array.from({ length: order.callers }, () => this.#callUntilStopped(order));
  }

  async #callUntilStopped({ url, paceMs = 0, isFresh = false }: LoadOrder): Promise<void> {
    const agent = new Agent({ keepAlive: !isFresh, maxSockets: 1 });
    while (!this.#isOver) {
      const begun = Date.now();
      const { status, body } = await call(url, {}, agent);
      const ms = Date.now() - begun;
      this.#times.push(ms);
      this.#begun.push(begun);
      const peer = /"peer":"([^"]*)"/.exec(body)?.[1];
      if (peer !== undefined) this.#peers.add(peer);
      if (ms > SLOW_MS && this.#slow.length < MAX_LISTED) this.#slow.push({ at: begun, ms });
      if (status !== 200) this.#failures.push({ at: begun, status, body: body.slice(0, 300) });
      await after(Math.max(0, begun + paceMs - Date.now()) + (status === 200 ? 0 : 100));
    }
    agent.destroy();
  }

  async stop(): Promise<LoadResult> {
    this.#isOver = true;
    await Promise.all(this.#callers);
    const sorted = this.#times.toSorted((a, b) => a - b);
    const at = (p: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? 0;
    const failures = this.#failures;
    const slow = this.#slow;
    const seen = { begun: this.#begun, peers: [...this.#peers] };
    return {
      ...seen,
      calls: sorted.length,
      failures,
      slow,
      p50: at(0.5),
      p99: at(0.99),
      max: sorted.at(-1) ?? 0,
    };
  }
}

/** Status 0: the connection broke; `body` says how. */
function call(url: string, headers: Record<string, string> = {}, agent?: Agent, timeout = 120_000) {
  return new Promise<{ status: number; body: string }>((resolve) => {
    const fail = (error: Error): void =>
      resolve({ status: 0, body: `${error.message} (from port ${req.socket?.localPort ?? '?'})` });
    const req = request(url, { headers, ...(agent ? { agent } : {}), timeout }, (res) => {
      let body = '';
      res.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      res.on('error', fail).on('end', () => resolve({ status: res.statusCode ?? 0, body }));
    });
    req.on('error', fail).on('timeout', () => req.destroy(new Error(`no answer in ${timeout} ms`)));
    req.end();
  });
}

/** As somebody who waits for a Service calls it: a new connection each time, and again soon. */
async function poll(url: string): Promise<{ status: number; body: string }> {
  for (;;) {
    const answer = await call(url, {}, undefined, 1_000);
    if (answer.status === 200) return answer;
    await after(20);
  }
}

function hold(address: string, ms: number): Promise<{ status: number }> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) }, () => resolve({ status: 200 }));
    socket.on('error', () => resolve({ status: 0 }));
    setTimeout(() => socket.destroy(), ms).unref();
  });
}

async function timed(work: () => Promise<{ status: number; body: string }>): Promise<TimedAnswer> {
  const begunAt = Date.now();
  const answer = await work();
  return { ...answer, begunAt, endedAt: Date.now() };
}

const loads = new Map<string, Load>();

async function respond(path: string, text: string): Promise<unknown> {
  const [, order, id = ''] = path.split('/');
  if (order === 'start') {
    const next = String(loads.size + 1);
    loads.set(next, new Load(JSON.parse(text) as LoadOrder));
    return { id: next };
  }
  if (order === 'stop') return loads.get(id)?.stop();
  if (order === 'call') {
    const { url, headers, timeoutMs } = JSON.parse(text) as CallOrder;
    return timed(() => call(url, headers, undefined, timeoutMs));
  }
  if (order === 'poll') {
    const { url } = JSON.parse(text) as { url: string };
    return timed(() => poll(url));
  }
  if (order === 'hold') {
    const { address, ms } = JSON.parse(text) as { address: string; ms: number };
    return hold(address, ms);
  }
  return { ready: true };
}

async function read(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) text += String(chunk);
  return text;
}

createServer((request, response) => {
  void read(request)
    .then((text) => respond(request.url ?? '', text))
    .then((body) => response.end(JSON.stringify(body ?? null)));
}).listen(8080);
process.once('SIGTERM', () => process.exit(0));
