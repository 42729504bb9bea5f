/** `/health`, `/ready` and `/metrics`, on the main port and on the metrics port alike. */
import type Router from 'koa-router';
import type { Registry } from '../../common/metrics.ts';

export interface HealthRoutesDeps {
  /** What is not up, by name; empty: ready. */
  readonly missing: () => readonly string[];
  readonly registry: Registry;
}

export function addHealthRoutes(router: Router, { missing, registry }: HealthRoutesDeps): void {
  router.get('/health', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/ready', (ctx) => {
    const notUp = missing();
    ctx.status = notUp.length === 0 ? 200 : 503;
    ctx.body = { ready: notUp.length === 0, missing: notUp };
  });
  router.get('/metrics', async (ctx) => {
    ctx.body = await registry.metrics();
    ctx.set('Content-Type', registry.contentType);
  });
}
