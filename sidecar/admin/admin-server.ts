/**
 * The admin port, open from the first moment at the cost of a bare server. What answers on it (Koa, its router,
 * prom-client: 50 ms and 10 MB) is loaded by the first request. The kubelet's probes are answered without.
 *
 * Room `sidecar/admin`: Health, metrics and activity reports.
 * Comes in: requests on port 15081.
 * Goes out: metrics, one activity message per second.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { createOperatorServer } from '../../common/relay/index.ts';
import type { AdminContext, AdminHandler } from './admin.ts';
import { servePlaces } from '../limits/places-server.ts';

export function createAdminServer(context: AdminContext, log: Log): Server {
  let handler: Promise<AdminHandler> | undefined;
  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    handler ??= import('./admin.ts').then(({ createAdminHandler }) => createAdminHandler(context));
    (await handler)(req, res);
  };
  const server = createOperatorServer(
    (req, res) => {
      // The kubelet asks these forever, in pods that nobody scrapes: not worth loading anything for.
      if (req.url === '/health') return answer(res, 200, 'ok');
      // About the sidecar, not the app: a native sidecar that waited for the app would keep it from starting.
      const { isDraining } = context.drain;
      if (req.url === '/ready') return answer(res, isDraining ? 503 : 200, isDraining ? 'draining' : 'ok');
      handle(req, res).catch((error: unknown) => {
        log.error({ error: describeError(error) }, 'admin request failed');
        res.destroy();
      });
    },
    () => context.stats.refuse('too-busy'),
  );
  server.on('upgrade', (req, socket) => servePlaces(context.servePlaces, req, socket));
  return server;
}

function answer(res: ServerResponse, code: number, status: string): void {
  res.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ status }));
}
