/**
 * Callers from outside the cluster: whoever comes over the public port, or from an address that --outside-cidrs names. A
 * load balancer may have the address of a node or of a pod, so such a connection is never trusted. It gets the routes
 * of --public-routes alone, and is told nothing of pods, nodes and addresses.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { TCP_OPTIONS } from '../../common/relay/index.ts';
import { ReasonError, UsageError, type ReasonCode } from '../../common/runtime/errors.ts';
import { PUBLIC_ROUTES } from './outside-flags.ts';

interface Marked {
  isOutside?: boolean;
}

export function markOutside(socket: object): void {
  (socket as Marked).isOutside = true;
}

/** @param socket of a request, or the peer of an HTTP/2 stream */
export function isOutside(socket: object | null): boolean {
  // The socket of a request is null once its caller has gone.
  return (socket as Marked | null)?.isOutside === true;
}

/** A port whose connections are served as those of another server, and are from outside. */
export function createPublicPort(onSocket: (socket: Socket) => void, maxConnections: number): Server {
  const server = createServer({ allowHalfOpen: true, ...TCP_OPTIONS }, (socket) => {
    markOutside(socket);
    onSocket(socket);
  });
  server.maxConnections = maxConnections;
  return server;
}

type Kind = (typeof PUBLIC_ROUTES)[number] | 'health';

/** Matched without the query. A path that is in no line is not served to callers from outside. */
const PATHS: readonly (readonly [RegExp, Kind])[] = [
  [/^\/function\//, 'function'],
  [/^\/async-function\//, 'async-function'],
  [/^\/publish-event\//, 'publish-event'],
  [/^\/async-function-(?:job|callback)\//, 'jobs'],
  [/^\/(?:$|status-page\/|status-functions$|status-functions-stream$|status-function\/)/, 'status'],
  [/^\/wake-function\//, 'wake'],
  // What load balancers ask.
  [/^\/(?:health|ready-for-calls)$/, 'health'],
];

export class PublishedRoutes {
  readonly #kinds: ReadonlySet<string>;

  /** @throws UsageError for an unknown kind */
  constructor(kinds: readonly string[]) {
    const unknown = kinds.find((kind) => !PUBLIC_ROUTES.some((known) => known === kind));
    if (unknown !== undefined)
      throw new UsageError(
        `--public-routes: ${JSON.stringify(unknown)} is not allowed; use ${PUBLIC_ROUTES.join(', ')}`,
      );
    this.#kinds = new Set([...kinds, 'health']);
  }

  /**
   * @param known what the URL asks for, where that is known; else its path says it
   * @throws ReasonError `unknown-route`, as for what does not exist
   */
  check(socket: object, url: string, known?: Kind): void {
    if (!isOutside(socket)) return;
    const kind = known ?? kindOf(url);
    if (kind === undefined || !this.#kinds.has(kind)) throw unknownRoute(url);
  }
}

function kindOf(url: string): Kind | undefined {
  const [path = ''] = url.split('?', 1);
  return PATHS.find(([form]) => form.test(path))?.[1];
}

export function unknownRoute(url: string): ReasonError {
  const [path = ''] = url.split('?', 1);
  const message = `no route ${JSON.stringify(path)}; a function is called at /function/{name}/{path}`;
  return new ReasonError('unknown-route', message);
}

/** What outside callers read instead of messages that name pods or addresses. */
const INSIDE: Partial<Record<ReasonCode, string>> = {
  'cold-start-timeout': 'no pod of the function was ready in time; its operators see why',
  'queue-timeout': 'no pod of the function had a place in time',
  'upstream-failed': 'the function gave no answer; its operators see why',
  'queue-unavailable': 'this cannot be stored now; try again',
  'no-sidecar': 'the function takes no jobs',
};

/** What this caller is told. @param socket of its request, or the peer of its stream */
export function toldTo(socket: object | null, error: ReasonError): ReasonError {
  return isOutside(socket) ? toldToAnybody(error) : error;
}

/** What anybody may know of it: no name of a pod, no address. */
export function toldToAnybody(error: ReasonError): ReasonError {
  const message = INSIDE[error.code];
  if (message === undefined) return error;
  const { retryAfterSeconds, headers, answer } = error;
  return new ReasonError(error.code, message, {
    headers,
    answer,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
