/**
 * What does a caller cost who waits at zero replicas? Resident memory of the proxy with up to 10,000 of them, each on
 * a connection of its own, and after they have gone; with one more the next is refused, for `--queue-limit`
 * is 10,000. There is no pod and nobody who would start one.
 */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { sleep } from '../common/runtime/lifecycle.ts';
import { startProxyHop } from './lib/hops.ts';
import type { Subject } from './lib/subject.ts';
import type { Bench, BenchOptions, Row } from './lib/bench.ts';

const STEPS = [1_000, 2_000, 5_000, 10_000];
/** Connections begun at once: the proxy's backlog holds 511. */
const BATCH = 200;

export const bench: Bench = {
  name: 'waiting',
  describe: 'memory of the proxy with 10,000 callers waiting at zero replicas',
  async run(options) {
    const proxy = await startProxyHop('proxy', []);
    try {
      return await measure(proxy, options);
    } finally {
      await proxy.stop();
    }
  },
};

async function measure(proxy: Subject, { say }: BenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  const callers: Socket[] = [];
  const note = async (metric: string): Promise<number> => {
    await sleep(1_000); // what was allocated for the moment is collected
    const bytes = proxy.rssBytes();
    rows.push({ case: 'proxy', metric: `memory, ${metric}`, value: bytes / 1_048_576, unit: 'MiB' });
    return bytes;
  };
  const empty = await note('nobody waits');
  for (const step of STEPS) {
    await join(proxy, callers, step);
    const bytes = await note(`${step} wait`);
    const each = (bytes - empty) / step / 1_024;
    rows.push({ case: 'a waiting call', metric: `of ${step}`, value: each, unit: 'KiB' });
    say(`${step} wait`);
  }
  rows.push({ case: 'one more', metric: 'status', value: await statusOfOneMore(proxy), unit: '' });
  for (const caller of callers) caller.destroy();
  await untilWaiting(proxy, 0);
  await note('all have left');
  return rows;
}

async function join(proxy: Subject, callers: Socket[], wanted: number): Promise<void> {
  while (callers.length < wanted) {
    const batch = Array.from({ length: Math.min(BATCH, wanted - callers.length) }, () => call(proxy));
    callers.push(...(await Promise.all(batch)));
  }
  await untilWaiting(proxy, wanted);
}

async function call({ port, prefix }: Subject): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(`GET ${prefix}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`);
  return socket;
}

async function statusOfOneMore(proxy: Subject): Promise<number> {
  const socket = await call(proxy);
  const [data] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return Number(data.toString('latin1', 9, 12));
}

async function untilWaiting({ port }: Subject, wanted: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const waiting = Number(/^slimfaas_proxy_waiting_requests\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0);
    if (waiting === wanted) return;
    if (performance.now() > deadline) throw new Error(`${waiting} of ${wanted} callers wait`);
    await sleep(50);
  }
}
