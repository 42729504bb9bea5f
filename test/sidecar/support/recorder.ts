/** A user's container that writes down each request as its bytes came: header names, order and duplicates kept. */
import { createHash } from 'node:crypto';
import { App, type Handler } from './app.ts';

export interface Recorded {
  readonly line: string;
  /** name, value, name, value … */
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly bodyBytes: number;
  readonly bodyHash: string;
  readonly atMs: number;
  header(name: string): string | undefined;
}

export class Recorder extends App {
  /** In the order in which they were read whole. */
  readonly requests: Recorded[] = [];

  /** @param answer called when the body has been read */
  constructor(answer: Handler, { keepBodies = true } = {}) {
    super((req, res, nth) => {
      const atMs = performance.now();
      const chunks: Buffer[] = [];
      const hash = createHash('sha256');
      let bodyBytes = 0;
      req.on('data', (chunk: Buffer) => {
        bodyBytes += chunk.length;
        hash.update(chunk);
        if (keepBodies) chunks.push(chunk);
      });
      req.on('end', () => {
        this.requests.push({
          line: `${req.method} ${req.url}`,
          headers: req.rawHeaders,
          body: Buffer.concat(chunks),
          bodyBytes,
          bodyHash: hash.digest('hex'),
          atMs,
          header: (name) => {
            const value = req.headers[name];
            return Array.isArray(value) ? value.join() : value;
          },
        });
        answer(req, res, nth);
      });
    });
  }

  /** Of `chunk` repeated. */
  static hashOf(chunk: Buffer, times: number): string {
    const hash = createHash('sha256');
    for (let i = 0; i < times; i++) hash.update(chunk);
    return hash.digest('hex');
  }
}
