/**
 * Our relay as a plain reverse proxy. `node relay.ts PORT UPSTREAM-PORT [koa]`
 */
import {
  createEdgeServer,
  createRelay,
  nodeBody,
  nodeSink,
  serveHead,
  type EdgeHandler,
  type Outcome,
} from '../../../common/relay/index.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';

const [port, upstream, shell] = process.argv.slice(2);
const relay = createRelay();
const target = { host: '127.0.0.1', port: Number(upstream) };
const timeouts = { connectMs: 1_000, headMs: 120_000, idleMs: 60_000 };

function forward(req: IncomingMessage, res: ServerResponse): void {
  const sink = nodeSink(res);
  relay.exchange({ target, head: serveHead(req), body: nodeBody(req), sink, timeouts }, (outcome) =>
    answerFailure(res, outcome),
  );
}

function answerFailure(res: ServerResponse, outcome: Outcome): void {
  if (outcome.kind === 'answered' || res.headersSent) return;
  res.statusCode = 502;
  res.end(outcome.kind);
}

async function koaHandler(): Promise<EdgeHandler> {
  const { default: Koa } = await import('koa'); // 20 MB that the plain relay does without
  const app = new Koa();
  app.use((ctx) => {
    ctx.respond = false;
    forward(ctx.req, ctx.res);
  });
  return app.callback();
}

createEdgeServer(shell === 'koa' ? await koaHandler() : forward).listen(Number(port), '127.0.0.1');
