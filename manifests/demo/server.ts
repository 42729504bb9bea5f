/**
 * The demo's function: an ordinary HTTP server that knows nothing of SlimFaas. It needs Node alone, no package.
 * With `--tcp PORT` it is the stand-in for a database: a TCP port that speaks no HTTP.
 *
 *   GET /hello/<name>      Hello <name>
 *   GET /fibonacci/<n>     the n-th Fibonacci number, the slow way: real CPU work (n ≤ 40)
 *   GET /slow/<ms>         an answer after that many milliseconds (≤ 300,000)
 *   GET /work/<ms>         the same, telling when it began and ended, where, and how many ran in this process
 *   any /echo/…            what arrived: method, path, headers, body
 *   GET /health            for probes
 */
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout as after } from 'node:timers/promises';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const MAX_FIBONACCI = 40; // about a second; 45 would be ten
const MAX_SLOW_MS = 300_000;

const host = process.env['HOST'] ?? '0.0.0.0';
const tcpFlag = process.argv.indexOf('--tcp');
const tcpPort = tcpFlag === -1 ? undefined : Number(process.argv[tcpFlag + 1]);

function serveHttp(port: number): void {
  const server = createServer(handle);
  server.listen(port, host, () => log(`listening on ${addressOf(server)}`));
  // Ends by itself when the last answer is out: idle connections are closed at once.
  process.once('SIGTERM', () => server.close());
  process.once('SIGINT', () => server.close());
}

function serveTcp(port: number): void {
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end('slimfaas demo: a database would speak here\n');
  });
  server.listen(port, host, () => log(`listening on ${addressOf(server)} (TCP)`));
  process.once('SIGTERM', () => server.close());
  process.once('SIGINT', () => server.close());
}

const handle: RequestListener = (request, response) => {
  respond(request).then(
    ({ status, body }) => {
      const text = typeof body === 'string' ? `${body}\n` : `${JSON.stringify(body)}\n`;
      const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
      response.end(text);
    },
    () => response.destroy(), // the caller left in the middle of its body
  );
};

async function respond(request: IncomingMessage): Promise<Answer> {
  const { pathname } = new URL(request.url ?? '/', 'http://demo');
  const [, route = '', argument = ''] = pathname.split('/');
  switch (route) {
    case 'health':
      return { status: 200, body: 'ok' };
    case 'hello':
      return { status: 200, body: `Hello ${decoded(argument)}` };
    case 'fibonacci':
      return withNumber(argument, MAX_FIBONACCI, (n) => ({ n, result: fibonacci(n), pod: hostname() }));
    case 'slow':
      return withNumber(argument, MAX_SLOW_MS, async (ms) => ({ slept: await after(ms, ms) }));
    case 'work':
      return withNumber(argument, MAX_SLOW_MS, work);
    case 'echo':
      return { status: 200, body: await echo(request) };
    default:
      return { status: 404, body: { error: 'try /hello/you, /fibonacci/30, /slow/500, /echo or /health' } };
  }
}

async function withNumber(text: string, max: number, then: (value: number) => unknown): Promise<Answer> {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max)
    return { status: 400, body: { error: `needs a whole number from 0 to ${max}, got "${text}"` } };
  return { status: 200, body: await then(value) };
}

let working = 0;

/** Times in milliseconds since 1970: whoever called many of these can see what overlapped. */
async function work(ms: number): Promise<unknown> {
  const startedAt = Date.now();
  const running = ++working;
  await after(ms);
  working -= 1;
  return { pod: process.env['HOSTNAME'] ?? hostname(), startedAt, endedAt: Date.now(), running };
}

async function echo(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return {
    method: request.method,
    path: request.url,
    headers: request.rawHeaders,
    body: Buffer.concat(chunks).toString('utf8'),
  };
}

function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/** A name with a stray percent sign is greeted as it was sent. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Port 0 asks for any free one: what it became is said, not what was asked for. */
function addressOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return `${address}:${port}`;
}

function log(message: string): void {
  process.stdout.write(`${message}\n`);
}

if (tcpPort === undefined) serveHttp(Number(process.env['PORT'] ?? 5000));
else serveTcp(tcpPort);
