/**
 * How late does a server-sent event come through both hops? A function writes one every 10 ms on each of a few
 * streams, and the time of each is taken from its write to its arrival, straight and through proxy and sidecar,
 * alternating. Function and clients are this process, so that one clock tells both.
 */
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { percentile, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import { podAddresses, POD_PORT, startProxyHop, startSidecarHop } from './lib/hops.ts';

const STREAMS = 10;
const EVERY_MS = 10;

export const bench: Bench = {
  name: 'sse',
  describe: 'how late server-sent events come, straight and through both hops',
  async run(options) {
    const app = createServer();
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    const { port } = app.address() as AddressInfo;
    const [pod = ''] = podAddresses(1);
    const sidecar = await startSidecarHop('sidecar', { host: pod, port: POD_PORT, appPort: port });
    const proxy = await startProxyHop('proxy', [pod]);
    try {
      return await measure(app, { direct: `:${port}/`, slimfaas: `:${proxy.port}${proxy.prefix}/` }, options);
    } finally {
      await proxy.stop();
      await sidecar.stop();
      app.close();
      app.closeAllConnections();
    }
  },
};

async function measure(
  app: Server,
  sides: Readonly<Record<string, string>>,
  { quick }: BenchOptions,
): Promise<Row[]> {
  const late: Record<string, number[]> = {};
  for (let round = 0; round < (quick ? 3 : 10); round++)
    for (const [side, address] of Object.entries(sides))
      (late[side] ??= []).push(...(await listen(app, `http://127.0.0.1${address}`)));
  return Object.entries(late).flatMap(([side, values]) => {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (p: number): number => percentile(sorted, p);
    return (
      [
        ['p50', 0.5],
        ['p99', 0.99],
        ['latest', 1],
      ] as const
    ).map(([metric, p]) => ({
      case: `${side}, ${sorted.length} events`,
      metric,
      value: at(p),
      unit: 'ms',
    }));
  });
}

/** A second of events on each stream. @returns how late each came, ms */
async function listen(app: Server, url: string): Promise<number[]> {
  const late: number[] = [];
  app.removeAllListeners('request');
  app.on('request', (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    let left = 1_000 / EVERY_MS;
    const timer = setInterval(() => {
      if (left-- > 0) res.write(`data: ${performance.now()}\n\n`);
      else {
        clearInterval(timer);
        res.end();
      }
    }, EVERY_MS);
  });
  await Promise.all(Array.from({ length: STREAMS }, () => readEvents(url, late)));
  return late;
}

async function readEvents(url: string, late: number[]): Promise<void> {
  const [res] = (await once(get(url), 'response')) as [IncomingMessage];
  for await (const chunk of res) {
    const now = performance.now();
    for (const [, at] of String(chunk).matchAll(/^data: (.*)$/gm)) late.push(now - Number(at));
  }
}
