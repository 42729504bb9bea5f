/**
 * The function of the cluster tests: an HTTP server whose start, end and appetite the environment sets. It runs in the
 * demo's image from a ConfigMap, so a cluster needs no image for it.
 *
 *   PORT, START_MS   listens there, that long after its process began; the readiness of /health is the same
 *   GET /hello       {pod, peer, startedAt, listeningAt, now}: milliseconds since 1970; the address that calls
 *   GET /after/<ms>  503 until that long after the process began: for probes
 *   GET /work/<ms>   the same after that time, with {running}
 *   any /keep/<id>[/<ms>]  remembers the call, and answers after that time; GET /kept lists what it remembers
 *   GET /hog         takes memory until the kernel ends the process
 *   GET /exit        ends the process
 *   GET /keys        the text of KEYS: an issuer's, for tokens
 *   GET /metrics     demo_backlog: 6 for BACKLOG_MS after the process began, then 0; for Prometheus
 *   upgrade          a WebSocket that sends back what it gets
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import { WebSocketServer } from 'ws';

const startedAt = Math.round(performance.timeOrigin);
const pod = process.env['HOSTNAME'] ?? '';
const kept: string[] = [];
const held: Buffer[] = [];
let running = 0;
let listeningAt = 0;

async function respond(request: IncomingMessage): Promise<unknown> {
  const [, route = '', argument = '', ms = '0'] = (request.url ?? '').split('/');
  switch (route) {
    case 'health':
    case 'hello':
      return { pod, peer: peerOf(request), startedAt, listeningAt, now: Date.now() };
    case 'work': {
      running += 1;
      const now = running;
      await after(Number(argument));
      running -= 1;
      return { pod, startedAt, listeningAt, running: now };
    }
    case 'keep':
      kept.push(argument);
      await after(Number(ms));
      return { pod };
    case 'kept':
      return { pod, kept };
    case 'hog':
      for (;;) {
        held.push(Buffer.alloc(8 * 1024 * 1024, 1));
        await after(1);
      }
    case 'exit':
      return process.exit(1);
    default:
      return { pod, method: request.method, url: request.url, headers: request.headers };
  }
}

/** IPv4 as such, on a socket of both kinds too. */
function peerOf({ socket }: IncomingMessage): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}

function isTooEarly(url: string): boolean {
  const [, route, argument] = url.split('/');
  return route === 'after' && Date.now() < startedAt + Number(argument);
}

function metrics(): string {
  const isBusy = Date.now() < startedAt + Number(process.env['BACKLOG_MS'] ?? 0);
  return `# TYPE demo_backlog gauge\ndemo_backlog ${isBusy ? 6 : 0}\n`;
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  if (request.url === '/keys') return void response.end(process.env['KEYS'] ?? '');
  if (request.url === '/sale')
    return void response.writeHead(Number(process.env['SALE_STATUS'] ?? 200)).end(pod);
  if (request.url === '/metrics') return void response.setHeader('content-type', 'text/plain').end(metrics());
  void respond(request).then((body) => {
    if (isTooEarly(request.url ?? '')) response.statusCode = 503;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(body));
  });
}

await after(Number(process.env['START_MS'] ?? 0));
// A connection without a request stays open, as with most servers.
const server = createServer({ headersTimeout: 0, requestTimeout: 0 }, handle);
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${String(data)}`)));
server.listen(Number(process.env['PORT'] ?? 5000), () => (listeningAt = Date.now()));
process.once('SIGTERM', () => server.close());
