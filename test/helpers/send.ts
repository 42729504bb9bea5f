/** One HTTP request of a test, and its answer. */
import { request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
  /** Milliseconds from sending to the last byte. */
  readonly ms: number;
}

export interface CallInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly signal?: AbortSignal;
}

/** One request on a connection of its own, body read whole. Rejects when the connection breaks. */
export function send(
  url: string,
  { method = 'GET', headers = {}, body, signal }: CallInit = {},
): Promise<Answer> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false as const, ...(signal ? { signal } : {}) };
    const req = request(url, options, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: text,
          ms: performance.now() - begun,
        });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}
