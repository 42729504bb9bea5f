/** Plain HTTP for the kubelet and Prometheus: `/health`, `/ready`, `/metrics`. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import Router from 'koa-router';
import type { Running } from '../common/runtime/lifecycle.ts';
import { listenOn } from '../common/runtime/listen-on.ts';
import { createOperatorServer } from '../common/relay/index.ts';
import type { Registry } from '../common/runtime/metrics.ts';

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  /** undefined: ready; else what is missing. */
  readonly notReadyBecause: () => string | undefined;
}

export async function startAdmin(options: AdminOptions): Promise<Running & { readonly port: number }> {
  const router = new Router();
  router.get('/health', (ctx) => {
    ctx.body = 'ok';
  });
  router.get('/ready', (ctx) => {
    const missing = options.notReadyBecause();
    ctx.status = missing === undefined ? 200 : 503;
    ctx.body = missing ?? 'ready';
  });
  router.get('/metrics', async (ctx) => {
    ctx.type = options.registry.contentType;
    ctx.body = await options.registry.metrics();
  });
  const handle = new Koa().use(router.routes()).callback();
  const server = createOperatorServer(
    (req, res) => void handle(req, res),
    () => undefined,
  ).listen(listenOn(options.host, options.port));
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
