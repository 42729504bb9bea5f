/** One HTTP call over a connection of its own: what came back, or why nothing did. */
import { request, type IncomingHttpHeaders } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface CallOptions {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Aborted when this caller leaves. */
  readonly signal?: AbortSignal;
}

export function call(port: number, path: string, options: CallOptions = {}): Promise<Answer> {
  const { host = '127.0.0.1', method = 'GET', headers = {}, body, signal } = options;
  return new Promise((resolve, reject) => {
    const req = request({ host, port, path, method, headers, agent: false, signal });
    req.once('error', reject);
    req.once('response', (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.once('error', reject);
      res.once('end', () =>
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: Buffer.concat(chunks).toString('latin1'),
        }),
      );
    });
    req.end(body);
  });
}

/** The slug of an answer that the system itself gave. */
export function reasonOf(answer: Answer): string | undefined {
  const reason = answer.headers['slimfaas-reason'];
  return typeof reason === 'string' ? reason : undefined;
}
