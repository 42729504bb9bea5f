/**
 * Where a source's URL may lead, and requests to there. A tenant writes the URL and the scaler calls it, with its own
 * place in the network. So the rules of callbacks hold: this machine, its link and metadata services never; the private
 * network only for Services of the function's own namespace, and for what the operator lists (`--source-allow`). The
 * connection goes to the address that was judged. Redirects are refused, and an answer is bounded.
 */
import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { UrlAllow } from '../../common/outbound/allow.ts';
import { checkedAddress, only, type Judges } from '../../common/outbound/checked-address.ts';
import type { ResolveFor } from './source-names.ts';
import type { Credentials } from './source-rules.ts';

export interface ReachOptions {
  /** `--source-allow`. */
  readonly allow: readonly string[];
  readonly resolve: ResolveFor;
}

export interface SourceRequest {
  readonly url: string;
  readonly credentials: Credentials;
  readonly signal: AbortSignal;
  readonly maxBytes: number;
  /** A form to be posted; default: GET. */
  readonly form?: string;
  /** Takes answers of each status from 400 on too, which say what is wrong; default: they are errors. */
  readonly onStatus?: (status: number) => void;
}

/** Idle connections are closed before most servers do so; one source asks every 5 s by default. */
const IDLE_MS = 15_000;
const IDLE_PER_HOST = 64;
/** The allow lists of so many namespaces are kept. */
const MAX_KEPT = 1_000;

export class SourceRefused extends Error {}

export class Reach {
  readonly #options: ReachOptions;
  readonly #allows = new Map<string, UrlAllow>();
  readonly #http = new HttpAgent({ keepAlive: true, maxFreeSockets: IDLE_PER_HOST, timeout: IDLE_MS });
  readonly #https = new HttpsAgent({ keepAlive: true, maxFreeSockets: IDLE_PER_HOST, timeout: IDLE_MS });

  constructor(options: ReachOptions) {
    this.#options = options;
  }

  /**
   * @param url of http or https, whatever is spoken there
   * @throws SourceRefused; or when the name does not resolve in time
   */
  async address(namespace: string, url: string, signal: AbortSignal): Promise<string> {
    const allow = this.#allowOf(namespace);
    const judged = allow.url(url);
    if (typeof judged === 'string') throw new SourceRefused(judged);
    const place = await checkedAddress(judged, { allow, resolve: this.#resolve(namespace, signal) }, signal);
    if ('why' in place) throw new SourceRefused(place.why);
    return place.address;
  }

  /** The answer piece by piece. @throws unless it is a 200 within its bounds */
  async *text(namespace: string, ask: SourceRequest): AsyncGenerator<string> {
    const response = await this.#send(namespace, ask);
    try {
      const { statusCode = 0 } = response;
      if (statusCode >= 300 && statusCode < 400) throw new SourceRefused(`redirect (${statusCode}) refused`);
      if (statusCode !== 200 && (!ask.onStatus || statusCode < 400)) throw new Error(`status ${statusCode}`);
      ask.onStatus?.(statusCode);
      let bytes = 0;
      response.setEncoding('utf8');
      for await (const text of response as AsyncIterable<string>) {
        bytes += Buffer.byteLength(text);
        if (bytes > ask.maxBytes) throw new SourceRefused(`an answer above ${ask.maxBytes} bytes`);
        yield text;
      }
    } finally {
      if (!response.complete) response.destroy();
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  async #send(
    namespace: string,
    { url: text, credentials, signal, form }: SourceRequest,
  ): Promise<IncomingMessage> {
    const allow = this.#allowOf(namespace);
    const url = allow.url(text);
    if (typeof url === 'string') throw new SourceRefused(url);
    const isTls = url.protocol === 'https:';
    const { ca, cert, key } = credentials;
    const options: RequestOptions = {
      method: form === undefined ? 'GET' : 'POST',
      agent: isTls ? this.#https : this.#http,
      signal,
      lookup: this.#lookup(url, { allow, resolve: this.#resolve(namespace, signal) }, signal),
      headers: { ...headersOf(credentials), ...formHeaders(form), Accept: 'text/plain, application/json' },
      ...(isTls && { ca, cert, key }),
    };
    return new Promise((resolve, reject) => {
      const send = (isTls ? httpsRequest : httpRequest)(url, options, resolve);
      send.once('error', reject);
      send.on('error', () => undefined); // a second one, from an answer that was ended
      send.end(form);
    });
  }

  /** Asked when a connection is opened; one that is kept leads where it was judged to lead. */
  #lookup(url: URL, judges: Judges, signal: AbortSignal): LookupFunction {
    return (host, options, done) => {
      checkedAddress(url, judges, signal).then(
        (place) =>
          'why' in place ? done(new SourceRefused(place.why), '') : only(place.address)(host, options, done),
        (error: Error) => done(error, ''),
      );
    };
  }

  #resolve(namespace: string, signal: AbortSignal): Judges['resolve'] {
    return (host) => this.#options.resolve(host, { namespace, signal });
  }

  #allowOf(namespace: string): UrlAllow {
    const known = this.#allows.get(namespace);
    if (known) return known;
    if (this.#allows.size >= MAX_KEPT) this.#allows.clear();
    const allow = new UrlAllow(this.#options.allow, 'source-allow', (host) => isServiceOf(namespace, host));
    this.#allows.set(namespace, allow);
    return allow;
  }
}

/**
 * A Service of the namespace, or a pod of one that is headless. Only names that end in `.svc` or in the usual domain of
 * clusters: other names may be somebody's on the Internet, who can let them lead anywhere.
 */
function isServiceOf(namespace: string, host: string): boolean {
  const name = host.replace(/\.cluster\.local$/, '');
  const own = `.${namespace}.svc`;
  return name.endsWith(own) && /^[a-z0-9-]+(\.[a-z0-9-]+)?$/.test(name.slice(0, -own.length));
}

function headersOf({ token, username, password = '' }: Credentials): Record<string, string> {
  if (token !== undefined) return { Authorization: `Bearer ${token}` };
  if (username === undefined) return {};
  return { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

function formHeaders(form: string | undefined): Record<string, string | number> {
  if (form === undefined) return {};
  return {
    'Content-Type': 'application/x-www-form-urlencoded',
    'Content-Length': Buffer.byteLength(form),
  };
}
