/**
 * `/health`, `/ready`, `/ready-for-calls` and `/metrics`, on the main port and on the metrics port alike.
 *
 * `/ready` says whether everything is up, for people and alarms. `/ready-for-calls` is for Kubernetes' readiness
 * probe: NATS or the API server going away takes every proxy's `/ready` away at once, and must not take every
 * proxy out of the Service, because warm calls need neither.
 */
import type Router from 'koa-router';
import type { Registry } from '../../common/metrics.ts';

export interface HealthRoutesDeps {
  /** What is not up, by name; empty: ready. */
  readonly missing: () => readonly string[];
  /** What keeps it from answering calls; empty: nothing. */
  readonly obstacles: () => readonly string[];
  readonly registry: Registry;
}

export function addHealthRoutes(router: Router, { missing, obstacles, registry }: HealthRoutesDeps): void {
  router.get('/health', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  const readiness = (route: string, list: () => readonly string[]) =>
    router.get(route, (ctx) => {
      const notUp = list();
      ctx.status = notUp.length === 0 ? 200 : 503;
      ctx.body = { ready: notUp.length === 0, missing: notUp };
    });
  readiness('/ready', missing);
  readiness('/ready-for-calls', obstacles);
  router.get('/metrics', async (ctx) => {
    ctx.body = await registry.metrics();
    ctx.set('Content-Type', registry.contentType);
  });
}
