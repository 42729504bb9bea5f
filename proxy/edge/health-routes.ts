/**
 * `/health`, `/ready`, `/ready-for-calls` and `/metrics`, on the main port and on the metrics port alike.
 *
 * `/ready` says whether everything is up, for people and alarms. `/ready-for-calls` is for Kubernetes' readiness
 * probe. An outage of NATS or the API server takes every proxy's `/ready` away at once. It must not take every proxy
 * out of the Service, because warm calls need neither.
 */
import type { IncomingMessage } from 'node:http';
import type Router from 'koa-router';
import type { RouterContext } from 'koa-router';
import type { Gate } from '../../common/access/gate.ts';
import { hasToken } from '../../common/access/token.ts';
import { withoutNames, type Registry } from '../../common/runtime/metrics.ts';
import { isOutside } from './outside.ts';
import type { MetricsText } from '../metrics/metrics-text.ts';
import type { StatusView } from '../status/board.ts';

export interface HealthRoutesDeps {
  /** What is not up, by name; empty: ready. */
  readonly missing: () => readonly string[];
  /** What keeps it from answering calls; empty: nothing. */
  readonly obstacles: () => readonly string[];
  readonly registry: Registry;
  /** On a port that anybody reaches; without it the port is its operators', and all is said at each question. */
  readonly anybody?: AnybodysMetrics;
  /** On the operators' port: who may see the series of functions; without it everybody. */
  readonly names?: Gate;
}

export interface AnybodysMetrics {
  readonly viewOf: (req: IncomingMessage) => StatusView;
  readonly text: Pick<MetricsText, 'read'>;
  /** Writes bytes that many answers share. */
  readonly answer: (ctx: RouterContext, bytes: Buffer) => void;
}

export function addHealthRoutes(router: Router, deps: HealthRoutesDeps): void {
  const { missing, obstacles, registry, anybody, names } = deps;
  router.get('/health', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  const readiness = (route: string, list: () => readonly string[]) =>
    router.get(route, (ctx) => {
      const notUp = list();
      ctx.status = notUp.length === 0 ? 200 : 503;
      ctx.body = { ready: notUp.length === 0, missing: isOutside(ctx.req.socket) ? [] : notUp };
    });
  readiness('/ready', missing);
  readiness('/ready-for-calls', obstacles);
  router.get('/metrics', async (ctx) => {
    if (anybody) anybody.answer(ctx, await anybody.text.read(anybody.viewOf(ctx.req)));
    else if (!names?.isClosed) ctx.body = await registry.metrics();
    else if (!hasToken(ctx.headers)) ctx.body = withoutNames(await registry.metrics());
    else {
      await names.check(ctx.req, { verb: 'get', subresource: 'metrics' });
      ctx.body = await registry.metrics();
    }
    ctx.set('Content-Type', registry.contentType);
  });
}

/**
 * The exposition without the series of functions that are not to be seen; one whose function cannot be read from its
 * labels is left out. Names of Kubernetes hold nothing that is escaped.
 */
export function withoutFunctions(text: string, maySee: (namespace: string, name: string) => boolean): string {
  return text.replaceAll(/^[^#\n]*\bfunction="([^"]*)".*\n/gm, (line, name: string) => {
    const namespace = /\bnamespace="([^"]*)"/.exec(line as string)?.[1];
    return namespace !== undefined && maySee(namespace, name) ? (line as string) : '';
  });
}
