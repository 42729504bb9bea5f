/**
 * The admin server's routes (port 15081), for the kubelet and Prometheus: Koa and its router, because nothing
 * here is hot. Loaded with the first request (see admin-server.ts), when the app has long been starting.
 */
import { timingSafeEqual } from 'node:crypto';
import Koa from 'koa';
import Router from 'koa-router';
import type { NatsLink } from '../../common/bus/nats.ts';
import { registerUnauthenticated } from '../../common/bus/bus-metrics.ts';
import type { Registry } from '../../common/runtime/metrics.ts';
import type { Drain } from '../life/drain.ts';
import type { Pause } from '../life/pause.ts';
import type { PlacesServerOptions } from '../limits/places-server.ts';
import { registerSidecarMetrics, type SidecarMetricsSource } from './metrics.ts';

export interface AdminContext extends SidecarMetricsSource {
  readonly registry: Registry | (() => Promise<Registry>);
  readonly nats: Pick<NatsLink, 'isUnauthenticated'>;
  readonly drain: Drain;
  /** Empty: anyone may drain. */
  readonly drainToken: string;
  readonly pause: Pause;
  readonly servePlaces: PlacesServerOptions;
}

export type AdminHandler = (
  req: import('node:http').IncomingMessage,
  res: import('node:http').ServerResponse,
) => void;

/** Answers at any time: full, starting or draining. None of it is counted as a call. */
export async function createAdminHandler(context: AdminContext): Promise<AdminHandler> {
  const { drain } = context;
  const registry = typeof context.registry === 'function' ? await context.registry() : context.registry;
  registerSidecarMetrics(registry, context);
  registerUnauthenticated(registry, context.nats);
  const router = new Router();
  // GET is what the kubelet's preStop sends. The answer is what it waits for.
  // With `container=` it is that container's, which may come back; without, the sidecar's own: the pod ends.
  // Every pod of the cluster can reach this port; the hooks alone know the token.
  router.get('/drain', async (ctx) => {
    if (!mayDrain(context.drainToken, ctx.query['token'])) {
      ctx.status = 403;
      ctx.body = { error: 'forbidden', message: 'only the pod’s own preStop hooks may drain it' };
      return;
    }
    await (ctx.query['container'] === undefined ? drain.run() : context.pause.run());
    ctx.body = { status: 'drained' };
  });
  router.get('/metrics', async (ctx) => {
    ctx.type = registry.contentType;
    ctx.body = await registry.metrics();
  });
  const app = new Koa();
  app.use(router.routes());
  app.use(router.allowedMethods());
  const handle = app.callback();
  return (req, res) => void handle(req, res);
}

function mayDrain(token: string, given: string | string[] | undefined): boolean {
  if (token === '') return true;
  if (typeof given !== 'string' || given.length !== token.length) return false;
  return timingSafeEqual(Buffer.from(given), Buffer.from(token));
}
