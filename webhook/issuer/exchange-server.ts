/**
 * The TLS server that pods exchange their tokens at: `POST /exchange`. What a stranger can make it do is bounded: a
 * small body, one check of a signature, and now and then one request to the API server (see cluster-keys.ts).
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import Router from 'koa-router';
import { EXCHANGE_PATH } from '../../common/identity/messages.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { listenOn } from '../../common/runtime/listen-on.ts';
import { cutUnreadBody } from '../../common/runtime/reason-answer.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { KeyPair } from '../../common/tls/key-pair.ts';
import { GrantError, RequestError, type Exchanged } from './exchange.ts';
import { OldContractError } from './rights.ts';
import { createTlsServer, tlsOptions } from '../certificates/tls-server.ts';
import { TokenError } from './verify-token.ts';
import { readText } from '../../common/relay/server/read-text.ts';

export interface ExchangeServerOptions {
  readonly exchange: (body: string) => Promise<Exchanged>;
  readonly onOutcome: (outcome: string) => void;
  /** A connection was closed for another one. */
  readonly onLimited: () => void;
  readonly log: Log;
}

export interface ExchangeServer {
  listen(host: string, port: number): Promise<void>;
  readonly port: number;
  setCertificate(pair: KeyPair): void;
  stop(): Promise<void>;
}

/** A token is about 1 KiB; one with many claims has a few. */
const MAX_EXCHANGE_BYTES = 16 * 1024;
const EXCHANGE_REQUEST_MS = 5_000;
/** A pod comes once in hours. */
const EXCHANGE_KEEP_ALIVE_MS = 1_000;
const MAX_CONNECTIONS = 1_000;

export function createExchangeServer(pair: KeyPair, options: ExchangeServerOptions): ExchangeServer {
  const router = new Router();
  router.post(EXCHANGE_PATH, async (ctx) => {
    const { status, body } = await answer(ctx.req, options);
    ctx.status = status;
    ctx.body = body;
  });
  const app = new Koa().use(router.routes()).use(router.allowedMethods());
  app.on('error', (error) => options.log.warn({ error: describeError(error) }, 'answering failed'));
  const server = createTlsServer(app.callback(), pair, {
    requestMs: EXCHANGE_REQUEST_MS,
    keepAliveMs: EXCHANGE_KEEP_ALIVE_MS,
    maxConnections: MAX_CONNECTIONS,
    onClosed: options.onLimited,
  });
  return {
    async listen(host, port) {
      server.listen(listenOn(host, port));
      await once(server, 'listening');
    },
    get port() {
      return (server.address() as AddressInfo).port;
    },
    setCertificate: (next) => server.setSecureContext(tlsOptions(next)),
    async stop() {
      if (!server.listening) return;
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

async function answer(request: IncomingMessage, options: ExchangeServerOptions): Promise<Answer> {
  try {
    const { answer: body, outcome } = await options.exchange(
      await readText(request, MAX_EXCHANGE_BYTES, tooLarge),
    );
    options.onOutcome(outcome);
    return { status: 200, body };
  } catch (error) {
    cutUnreadBody(request);
    const { status, code } = faultOf(error);
    options.onOutcome(code);
    options.log.warn(
      { error: describeError(error), code, from: request.socket.remoteAddress },
      'no JWT for it',
    );
    return { status, body: { error: code, message: status === 503 ? 'try again' : describeError(error) } };
  }
}

function faultOf(error: unknown): { status: number; code: string } {
  if (error instanceof RequestError) return { status: 400, code: error.code };
  if (error instanceof TokenError) return { status: 401, code: error.code };
  if (error instanceof GrantError || error instanceof OldContractError)
    return { status: 403, code: error.code };
  return { status: 503, code: 'no-keys' };
}

function tooLarge(): RequestError {
  return new RequestError(`the body has more than ${MAX_EXCHANGE_BYTES} bytes`);
}
