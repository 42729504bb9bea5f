/**
 * One watch request, in place of the library's, which gives up after 30 s of silence. An idle watch is then opened
 * again every 30 s. It also waits 30 s for a connection, so an API server that is away for seconds costs a watch 10
 * to 30 s. Here the server sends a bookmark each minute, which keeps the watch open for minutes and its place in the
 * history fresh. A connection must be there within seconds. What comes of it is the library's (ListWatch).
 */
import http from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';
import type { TLSSocket } from 'node:tls';
import { Watch } from '@kubernetes/client-node';
import type { IncomingMessage } from 'node:http';

/** An API server that is away may leave a connect without any answer. */
const WATCH_CONNECT_MS = 3_000;
/** One that has just started may be slow: to give up and ask again would only add to its work. */
const WATCH_ANSWER_MS = 30_000;
/** Two bookmarks missed. */
const WATCH_SILENCE_MS = 150_000;
/** As client-go: at random, so that not all are opened again at one time. */
const MIN_OPEN_SECONDS = 300;
/** A stream that ends sooner was not one: wait before it is opened again. */
const MIN_LIFE_MS = 1_000;

type OnChange = (phase: string, object: unknown, watchObject?: unknown) => void;
type Query = Record<string, string | number | boolean | undefined>;

export interface WatchTimes {
  /** Until the connection is there, TLS included. */
  readonly connectMs: number;
  /** From then until the answer begins. */
  readonly answerMs: number;
  readonly silenceMs: number;
}

const TIMES: WatchTimes = {
  connectMs: WATCH_CONNECT_MS,
  answerMs: WATCH_ANSWER_MS,
  silenceMs: WATCH_SILENCE_MS,
};

/** `name` is what ListWatch goes by: it opens the watch again at once, from where it was. */
class WatchTimeout extends Error {
  override readonly name = 'TimeoutError';
}

export class BookmarkWatch extends Watch {
  readonly #userAgent: string;
  readonly #times: WatchTimes;

  constructor(config: Watch['config'], userAgent: string, times = TIMES) {
    super(config);
    this.#userAgent = userAgent;
    this.#times = times;
  }

  override async watch(
    path: string,
    query: Query,
    onEvent: OnChange,
    done: (error: unknown) => void,
  ): Promise<AbortController> {
    const controller = new AbortController();
    let isDone = false;
    const end = (error: unknown): void => {
      if (isDone) return;
      isDone = true;
      controller.abort();
      done(error);
    };
    try {
      const response = await this.#open(path, query, controller);
      this.#read(response, onEvent, end);
    } catch (error) {
      end(error);
    }
    return controller;
  }

  async #open(path: string, query: Query, controller: AbortController): Promise<IncomingMessage> {
    const cluster = this.config.getCurrentCluster();
    if (!cluster) throw new Error('no current cluster');
    const url = new URL(cluster.server + path);
    const timeoutSeconds = MIN_OPEN_SECONDS + Math.floor(Math.random() * MIN_OPEN_SECONDS);
    for (const [key, value] of Object.entries({
      ...query,
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds,
    }))
      if (value !== undefined) url.searchParams.set(key, String(value));
    const options: https.RequestOptions = { headers: {} };
    await this.config.applyToHTTPSOptions(options);
    // The library's agent keeps the CA of its first use forever; only a proxy needs it.
    if (cluster.proxyUrl === undefined) options.agent = false;
    options.headers = { ...options.headers, 'User-Agent': this.#userAgent };
    options.signal = controller.signal;
    return answerOf(url, options, this.#times);
  }

  #read(response: IncomingMessage, onEvent: OnChange, end: (error: unknown) => void): void {
    const openedAtMs = performance.now();
    const timer = setTimeout(
      () => response.destroy(new WatchTimeout('the watch fell silent')),
      this.#times.silenceMs,
    );
    timer.unref();
    let failure: unknown;
    response.on('data', () => timer.refresh());
    response.on('error', (error) => (failure ??= error));
    const lines = createInterface(response);
    lines.on('line', (line) => tell(line, onEvent));
    // Readline passes errors of its input on, and nobody needs them twice.
    lines.on('error', () => undefined);
    response.on('close', () => {
      clearTimeout(timer);
      const livedMs = performance.now() - openedAtMs;
      const atEnd =
        livedMs < MIN_LIFE_MS ? new Error('the watch ended at once') : new WatchTimeout('its time is over');
      end(failure ?? atEnd);
    });
  }
}

function answerOf(
  url: URL,
  options: https.RequestOptions,
  { connectMs, answerMs }: WatchTimes,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const isTls = url.protocol !== 'http:';
    const request = (isTls ? https : http).request(url, options);
    const give = (ms: number, what: string): NodeJS.Timeout =>
      setTimeout(() => request.destroy(new Error(`no ${what} in ${ms} ms`)), ms);
    let timer = give(connectMs, 'connection');
    const isThere = (): void => {
      clearTimeout(timer);
      timer = give(answerMs, 'answer');
    };
    request.on('socket', (socket) => {
      // One that a proxy's agent has kept says no more that it is connected.
      if (
        socket.connecting ||
        (socket as TLSSocket & { readonly secureConnecting?: boolean }).secureConnecting
      )
        socket.once(isTls ? 'secureConnect' : 'connect', isThere);
      else isThere();
    });
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.on('response', (response) => {
      clearTimeout(timer);
      if (response.statusCode === 200) return resolve(response);
      response.destroy();
      const { statusCode, statusMessage } = response;
      reject(Object.assign(new Error(`${statusCode} ${statusMessage}`), { statusCode }));
    });
    request.end();
  });
}

/** A line that is cut is the last one of a stream that broke. */
function tell(line: string, onEvent: OnChange): void {
  let event: { type: string; object: unknown };
  try {
    event = JSON.parse(line) as typeof event;
  } catch {
    return;
  }
  onEvent(event.type, event.object, event);
}
