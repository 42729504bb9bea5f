/** From a request to its handler: who is it, what is it about, may they. Every refusal becomes a Status. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeError } from '../../../../common/runtime/errors.ts';
import type { Log } from '../../../../common/runtime/log.ts';
import { reviewAccess } from '../admission/access-review.ts';
import { ISSUER, type ServiceAccountTokens, type User } from './auth.ts';
import { authorize, createContext, verbOf } from './context.ts';
import { discover } from './discovery.ts';
import { send } from './encode.ts';
import {
  ApiError,
  methodNotAllowed,
  statusBody,
  unauthorizedError,
  unknownPath,
} from '../objects/api-errors.ts';
import { HANDLERS } from './handlers.ts';
import type { Parts } from './handlers.ts';
import { parseTarget } from './request-target.ts';
import { handleSubresource } from '../verbs/subresources.ts';
import type { SubresourceParts } from '../verbs/subresources.ts';

export interface RouterParts extends Parts, SubresourceParts {
  readonly tokens: ServiceAccountTokens;
  readonly log: Log;
}

const HEALTH: ReadonlySet<string> = new Set(['/healthz', '/livez', '/readyz']);
const METHODS: ReadonlySet<string> = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);

export type Router = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export function createRouter(parts: RouterParts): Router {
  return async (request, response) => {
    try {
      await route(parts, request, response);
    } catch (error) {
      answerError(parts.log, error, { request, response });
    }
  };
}

/** Identity before everything, discovery before resources, rights before any look at the object. */
async function route(parts: RouterParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'https://localhost').pathname.replace(/(.)\/$/, '$1');
  // As in a real cluster these need no identity.
  if (HEALTH.has(path)) return void response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
  const user = path === '/version' ? ANONYMOUS : authenticate(parts.tokens, request);
  // Anybody with a token may read it here; a real cluster lets service accounts.
  if (path === '/.well-known/openid-configuration')
    return send(response, 200, JSON.stringify({ issuer: ISSUER }));
  if (path === '/openid/v1/jwks') return send(response, 200, JSON.stringify(parts.tokens.jwks));
  const discovered = request.method === 'GET' ? discover(path, request.headers.accept ?? '') : undefined;
  if (discovered !== undefined) {
    response.setHeader('content-type', discovered.contentType);
    response.end(discovered.body);
    return;
  }
  const context = createContext(request, response, user);
  if (await reviewAccess({ store: parts.registry.store, tokens: parts.tokens }, path, context)) return;

  const target = parseTarget(path);
  if (target === undefined) throw unknownPath();
  if (!METHODS.has(request.method ?? '')) throw methodNotAllowed();
  const { subresource } = target;
  const verb = verbOf(context, target);
  authorize(parts.registry.store, context, verb, target);
  const isStatus = subresource === 'status' && target.kind.hasStatus;
  if (subresource !== undefined && !isStatus) return handleSubresource(parts, target, context);
  if (isStatus && !['get', 'update', 'patch'].includes(verb)) throw methodNotAllowed();
  await HANDLERS[verb]!(parts, target, context);
}

const ANONYMOUS: User = { username: 'system:anonymous', groups: ['system:unauthenticated'] };

function authenticate(tokens: ServiceAccountTokens, { headers }: IncomingMessage): User {
  const token = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  const user = token === undefined ? undefined : tokens.verify(token);
  if (user === undefined) throw unauthorizedError();
  return user;
}

interface RoutedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

function answerError(log: Log, error: unknown, { request, response }: RoutedRequest): void {
  // A client that left in the middle of its body is nobody's fault.
  if (!(error instanceof ApiError) && !response.destroyed) {
    log.error({ method: request.method, url: request.url, error: describeError(error) }, 'request failed');
  }
  // An answer that has begun cannot be turned into a refusal; a cut one is not mistaken for a complete one.
  if (response.headersSent || response.destroyed) return void response.destroy();
  const body = statusBody(error);
  const retryAfter = error instanceof ApiError ? error.details?.retryAfterSeconds : undefined;
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  send(response, body.code, JSON.stringify(body));
}
