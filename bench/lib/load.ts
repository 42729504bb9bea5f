/**
 * A load generator in a process of its own: N keep-alive connections, each with one request in flight, for a
 * bounded time and count. It reads answers with a Content-Length only and parses next to nothing, so that it
 * costs less than what it measures.
 *
 *     node load.ts PORT PATH CONNECTIONS MILLISECONDS MAX-REQUESTS [BODY-BYTES]
 *
 * With BODY-BYTES it posts a body of that size. Prints one JSON line: requests, seconds, p50 and p99 in µs.
 */
import { connect, type Socket } from 'node:net';
import { printResult } from './load-result.ts';

const [port, path, connections, milliseconds, maxRequests, bodyBytes] = process.argv.slice(2);
const deadline = performance.now() + Number(milliseconds);
const latencies: number[] = [];
const body = Buffer.alloc(Number(bodyBytes ?? 0), 'b');
const head =
  body.length === 0
    ? `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n`
    : `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: load\r\nAccept: */*\r\n` +
      `Content-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`;
let started = 0;
let errors = 0;
let open = 0;
const startedAt = performance.now();

function finishOne(): void {
  if (--open > 0) return;
  printResult(latencies, errors, startedAt);
}

class Client {
  readonly #socket: Socket;
  readonly #buffer = Buffer.allocUnsafe(262_144);
  #sentAt = 0;
  /** Bytes of the answer still to come; -1: its head. */
  #left = -1;
  #head = '';

  constructor() {
    this.#socket = connect({
      port: Number(port),
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: this.#buffer, callback: (size) => this.#read(size) },
    });
    this.#socket.on('connect', () => this.#send());
    this.#socket.on('error', () => errors++);
    this.#socket.on('close', finishOne);
  }

  #send(): void {
    if (performance.now() >= deadline || started >= Number(maxRequests)) {
      this.#socket.destroy();
      return;
    }
    started++;
    this.#sentAt = performance.now();
    if (body.length > 0) this.#socket.cork();
    this.#socket.write(head, 'latin1');
    if (body.length === 0) return;
    this.#socket.write(body);
    this.#socket.uncork();
  }

  #read(size: number): boolean {
    let from = 0;
    if (this.#left < 0) from = this.#readHead(size);
    if (this.#left >= 0) this.#left -= size - from;
    if (this.#left !== 0) return true;
    latencies.push(performance.now() - this.#sentAt);
    this.#left = -1;
    this.#send();
    return true;
  }

  #readHead(size: number): number {
    const before = this.#head.length;
    this.#head += this.#buffer.toString('latin1', 0, Math.min(size, 4_096));
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return size;
    const status = this.#head.slice(9, 12);
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#head.slice(0, end + 2));
    if (status !== '200' || !length) errors++;
    this.#left = Number(length?.[1] ?? 0);
    this.#head = '';
    return end + 4 - before;
  }
}

for (let i = 0; i < Number(connections); i++) {
  open++;
  new Client();
}
