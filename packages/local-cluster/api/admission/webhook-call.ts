/**
 * One admission review over TLS: the certificate must be signed by the configuration's caBundle and be made
 * out to `<service>.<namespace>.svc`, as a real API server demands. Connections are kept alive, since every
 * handshake would be paid in the middle of a cold start.
 */
import { Agent, request } from 'node:https';
import type { RequestOptions } from 'node:https';
import type { ServiceResolver } from '../verbs/runtime-hooks.ts';

export interface WebhookClientConfig {
  readonly url?: string;
  readonly caBundle?: string;
  readonly service?: {
    readonly namespace: string;
    readonly name: string;
    readonly path?: string;
    readonly port?: number;
  };
}

export interface WebhookCall {
  readonly clientConfig: WebhookClientConfig;
  readonly timeoutSeconds: number;
  readonly review: unknown;
}

/** An answer is a review with at most a patch in it; 3 MiB is what API servers accept too. */
const MAX_WEBHOOK_ANSWER_BYTES = 3 * 1024 * 1024;

export class WebhookCaller {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #resolver: () => ServiceResolver | undefined;

  constructor(resolver: () => ServiceResolver | undefined) {
    this.#resolver = resolver;
  }

  /** The parsed answer; rejects with an Error whose message Kubernetes would log. */
  async call({ clientConfig, timeoutSeconds, review }: WebhookCall): Promise<unknown> {
    const target = this.#target(clientConfig, timeoutSeconds);
    const signal = AbortSignal.timeout(timeoutSeconds * 1000);
    const body = JSON.stringify(review);
    const caBundle = clientConfig.caBundle;
    const ca = caBundle ? Buffer.from(caBundle, 'base64').toString() : undefined;
    const options: RequestOptions = { ...target.options, agent: this.#agent, signal, ...(ca ? { ca } : {}) };
    try {
      return JSON.parse(await send(options, body));
    } catch (error) {
      const why = signal.aborted ? 'context deadline exceeded' : String((error as Error).message);
      throw new Error(`failed to call webhook: Post "${target.shown}": ${why}`, { cause: error });
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Named as Kubernetes names it in errors, whatever address it is reached at. */
  #target(config: WebhookClientConfig, timeoutSeconds: number): { shown: string; options: RequestOptions } {
    const query = `?timeout=${timeoutSeconds}s`;
    if (config.service === undefined) {
      const url = new URL(config.url ?? '');
      const { hostname, port, pathname } = url;
      const options = { host: hostname, port: port || 443, path: `${pathname}${query}` };
      return { shown: `${url.href}${query}`, options };
    }
    const { namespace, name, path = '/', port = 443 } = config.service;
    const servername = `${name}.${namespace}.svc`;
    const shown = `https://${servername}:${port}${path}${query}`;
    const address = this.#resolver()?.(namespace, name, port);
    if (address === undefined) {
      throw new Error(
        `failed to call webhook: Post "${shown}": no endpoints available for service "${name}"`,
      );
    }
    const options = { ...address, path: `${path}${query}`, servername, headers: { host: servername } };
    return { shown, options };
  }
}

/** Once more when a kept-alive connection turns out to have been closed under us. */
async function send(options: RequestOptions, body: string): Promise<string> {
  try {
    return await sendOnce(options, body);
  } catch (error) {
    if ((error as { isStale?: boolean }).isStale !== true) throw error;
    return sendOnce({ ...options, agent: false }, body);
  }
}

/** Resolves to the text of a 200; everything else is an error that says what came instead. */
function sendOnce(options: RequestOptions, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(options.headers as Record<string, string> | undefined),
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const call = request({ ...options, method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_WEBHOOK_ANSWER_BYTES) response.destroy(new Error('the answer is larger than 3 MiB'));
        chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`the server answered ${response.statusCode}: ${text.slice(0, 200)}`));
      });
    });
    call.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = call.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(Object.assign(error, { isStale }));
    });
    call.end(body);
  });
}
