/**
 * The TLS server that the API server calls: one route, `POST /mutate`. Everything it needs to answer is in
 * memory. It listens with its first certificate and outlives it: a later one changes what new connections see, and
 * running ones go on undisturbed.
 */
import { once } from 'node:events';
import type { Server } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import Router from 'koa-router';
import { describeError } from '../common/runtime/errors.ts';
import { sleep } from '../common/runtime/lifecycle.ts';
import { listenOn } from '../common/runtime/listen-on.ts';
import { cutUnreadBody } from '../common/runtime/reason-answer.ts';
import type { Log } from '../common/runtime/log.ts';
import type { InjectOptions } from './inject/inject.ts';
import type { WebhookMetrics } from './metrics.ts';
import { ReviewError, reviewPod } from './review.ts';
import type { KeyPair } from '../common/tls/key-pair.ts';
import { createTlsServer, tlsOptions } from './certificates/tls-server.ts';
import { readText } from '../common/relay/server/read-text.ts';

export interface ReviewServerOptions {
  readonly host: string;
  readonly port: number;
  readonly inject: InjectOptions;
  readonly log: Log;
  readonly metrics: WebhookMetrics;
}

export interface ReviewServer {
  /** The port it listens on; undefined before the first certificate. */
  readonly port: number | undefined;
  /** Listens with the first certificate, and takes each later one. */
  serve(pair: KeyPair): Promise<void>;
  /** Goes on answering for `delayMs`, then ends with the last review that is being answered. */
  stop(delayMs: number): Promise<void>;
}

/** etcd takes 1.5 MiB, so a pod never comes near this; a review carries it once. */
const MAX_REVIEW_BYTES = 4 * 1024 * 1024;
/**
 * Longer than the API server keeps an idle connection (90 s in Go's default transport), so that it is the one to
 * close. A server that closes first may do so at the moment when the next review is sent.
 */
const REVIEW_KEEP_ALIVE_MS = 180_000;
const REVIEW_REQUEST_MS = 10_000;
/** An API server has a few. */
const MAX_REVIEW_CONNECTIONS = 512;

export function createReviewServer(options: ReviewServerOptions): ReviewServer {
  let isStopping = false;
  const app = new Koa();
  const router = new Router();
  router.post('/mutate', async (ctx) => {
    // Told so, clients open their next connection elsewhere: to a replica that stays.
    if (isStopping) ctx.set('Connection', 'close');
    const { status, body } = await answer(ctx.req, options);
    ctx.status = status;
    ctx.body = body;
  });
  app.use(router.routes()).use(router.allowedMethods());
  app.on('error', (error) => options.log.warn({ error: describeError(error) }, 'answering failed'));
  const server = createTlsServer(app.callback(), undefined, {
    requestMs: REVIEW_REQUEST_MS,
    keepAliveMs: REVIEW_KEEP_ALIVE_MS,
    maxConnections: MAX_REVIEW_CONNECTIONS,
    onClosed: () => options.metrics.limited('review-connections'),
  });
  return {
    get port() {
      return (server.address() as AddressInfo | null)?.port;
    },
    async serve(pair) {
      server.setSecureContext(tlsOptions(pair));
      if (server.listening) return;
      server.listen(listenOn(options.host, options.port));
      await once(server, 'listening');
      options.log.info({ port: (server.address() as AddressInfo).port }, 'ready for reviews');
    },
    async stop(delayMs) {
      isStopping = true;
      if (!server.listening) return;
      await sleep(delayMs);
      await closed(server);
    },
  };
}

/** `close` waits for requests that run, and ends connections that are idle. */
async function closed(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise((resolve) => server.close(resolve));
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function answer(
  request: IncomingMessage,
  { inject, log, metrics }: ReviewServerOptions,
): Promise<Answer> {
  const startedAt = performance.now();
  try {
    const text = await readText(request, MAX_REVIEW_BYTES, tooLarge);
    const { review, outcome, subject } = reviewPod(text, inject);
    metrics.review(outcome, (performance.now() - startedAt) / 1_000);
    const { warnings, status } = review.response;
    if (outcome !== 'not-annotated')
      log.info({ subject, outcome, warnings, refusal: status?.message }, 'reviewed');
    return { status: 200, body: review };
  } catch (error) {
    if (!(error instanceof ReviewError)) throw error;
    cutUnreadBody(request);
    metrics.review('bad-review', (performance.now() - startedAt) / 1_000);
    log.warn({ error: describeError(error) }, 'not a review');
    return { status: error.status, body: { error: error.code, message: describeError(error) } };
  }
}

function tooLarge(): ReviewError {
  return new ReviewError(`the body has more than ${MAX_REVIEW_BYTES} bytes`, { status: 413 });
}
