/**
 * Watches over HTTP: a stream of JSON lines that begins with the present or resumes after a version. A watch
 * whose client reads too slowly is ended, as a real API server does; the client then resumes or lists again.
 */
import type { ServerResponse } from 'node:http';
import { jsonOf, tableJson } from '../http/encode.ts';
import { ApiError, badRequest, expired, statusBody } from './api-errors.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import type { ObjectMatcher } from './selectors.ts';
import type { Store, StoreChange } from './store.ts';
import type { TableOptions } from '../tables/tables.ts';
import type { KubeObject, WatchEventType } from './types.ts';

export interface WatchRequest {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly matcher: ObjectMatcher | undefined;
  readonly query: URLSearchParams;
  readonly table: TableOptions | undefined;
  /** Objects as this API group shows them. */
  readonly present: (object: KubeObject) => KubeObject;
}

/** Answers that wait in memory for a client that does not read: 8 MiB is some 1,000 pods. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
/** As real servers do, about once per minute; and a last one just before the watch times out. */
const BOOKMARK_MS = 60_000;
/** Real servers choose 30 to 60 minutes when the client names no time. */
const DEFAULT_TIMEOUT_S = 30 * 60;

export class Watches {
  readonly #store: Store;
  readonly #open = new Set<ServerResponse>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resets the connections, without an end of the stream. */
  cut(): void {
    for (const response of this.#open) response.destroy();
  }

  serve(request: WatchRequest, response: ServerResponse): void {
    const stream = new WatchStream(this.#store, request, response);
    this.#open.add(response);
    response.on('close', () => {
      this.#open.delete(response);
      stream.stop();
    });
    stream.start();
  }
}

class WatchStream {
  readonly #store: Store;
  readonly #request: WatchRequest;
  readonly #response: ServerResponse;
  readonly #releases: (() => void)[] = [];
  readonly #wantsBookmarks: boolean;
  #hasSentHeader = false;

  constructor(store: Store, request: WatchRequest, response: ServerResponse) {
    this.#store = store;
    this.#request = request;
    this.#response = response;
    this.#wantsBookmarks = request.query.get('allowWatchBookmarks') === 'true';
  }

  start(): void {
    const timeout = Number(this.#request.query.get('timeoutSeconds') || DEFAULT_TIMEOUT_S);
    if (!(timeout > 0)) throw badRequest('timeoutSeconds must be a positive number');
    this.#response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
    this.#response.flushHeaders();
    try {
      this.#begin();
    } catch (error) {
      // Once a watch has been accepted its errors are events: that is how clients learn of a 410.
      if (!(error instanceof ApiError)) throw error;
      this.#write('ERROR', JSON.stringify(statusBody(error)));
      this.#response.end();
      return;
    }
    this.#releases.push(
      this.#store.subscribe(this.#request.kind.resource, (event) => this.#tell(event)),
      every(BOOKMARK_MS, () => this.#bookmark()),
      every(timeout * 1000, () => {
        this.#bookmark();
        this.#response.end();
      }),
    );
  }

  /** Twice is harmless: the list of releases is emptied. */
  stop(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  /** What lies between the version that the client knows and now. */
  #begin(): void {
    const { kind, namespace, matcher, query } = this.#request;
    const since = query.get('resourceVersion') ?? '';
    const wantsInitial = query.get('sendInitialEvents') === 'true';
    if (wantsInitial || since === '' || since === '0') {
      const objects = this.#store.list(kind.resource, namespace);
      for (const object of objects) if (matcher?.(object) ?? true) this.#send('ADDED', object);
      if (wantsInitial) this.#bookmark({ 'k8s.io/initial-events-end': 'true' });
      return;
    }
    const version = Number(since);
    if (!Number.isInteger(version)) throw badRequest(`invalid resource version ${JSON.stringify(since)}`);
    // From a server that ran before this one: nothing is known about it.
    if (version > this.#store.version) throw expired(`too large resource version: ${since}`);
    for (const event of this.#store.eventsAfter(kind.resource, version)) this.#tell(event);
  }

  /** An object that begins or ceases to match is ADDED or DELETED to this watch. */
  #tell({ type, object, previous, version }: StoreChange): void {
    const { namespace, matcher } = this.#request;
    if (namespace !== undefined && object.metadata.namespace !== namespace) return;
    const isMatch = type !== 'DELETED' && (matcher?.(object) ?? true);
    const wasMatch = previous !== undefined && (matcher?.(previous) ?? true);
    if (isMatch) this.#send(wasMatch ? 'MODIFIED' : 'ADDED', object);
    else if (wasMatch) {
      const metadata = { ...previous.metadata, resourceVersion: String(version) };
      this.#send('DELETED', type === 'DELETED' ? object : { ...previous, metadata });
    }
  }

  #send(type: WatchEventType, object: KubeObject): void {
    const { kind, table, present } = this.#request;
    if (table === undefined) return this.#write(type, jsonOf(present(object)));
    const { resourceVersion } = object.metadata;
    const json = tableJson(kind, [present(object)], { resourceVersion }, { ...table, nowMs: Date.now() });
    // The columns are told once.
    this.#write(
      type,
      this.#hasSentHeader
        ? json.replace(/"columnDefinitions":\[.*?\],"rows"/, '"columnDefinitions":null,"rows"')
        : json,
    );
    this.#hasSentHeader = true;
  }

  #bookmark(annotations?: Record<string, string>): void {
    if (!this.#wantsBookmarks && annotations === undefined) return;
    const { kind } = this.#request;
    const metadata = {
      resourceVersion: String(this.#store.version),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    };
    this.#write('BOOKMARK', JSON.stringify({ kind: kind.kind, apiVersion: apiVersionOf(kind), metadata }));
  }

  /** Never waits for a slow client: a change is told to all watches at once, so one must not hold up the rest. */
  #write(type: string, json: string): void {
    this.#response.write(`{"type":"${type}","object":${json}}\n`);
    if (this.#response.writableLength > MAX_UNREAD_BYTES) this.#response.destroy();
  }
}

/** A timer that keeps no process alive; returns its release. */
function every(ms: number, act: () => void): () => void {
  // Longer than 2^31 ms would fire at once.
  const timer = setInterval(act, Math.min(ms, 2 ** 31 - 1)).unref();
  return () => clearInterval(timer);
}
