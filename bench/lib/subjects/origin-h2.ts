/** The same function over HTTP/2 without TLS: `/bytes/N` answers N bytes. `node origin-h2.ts PORT` */
import { createServer } from 'node:http2';

const bodies = new Map<string, Buffer>();

const server = createServer();
server.on('stream', (stream, headers) => {
  const path = headers[':path'] ?? '/';
  let body = bodies.get(path);
  if (!body) {
    body = Buffer.alloc(Number(path.slice(path.lastIndexOf('/') + 1)) || 2, 'x');
    bodies.set(path, body);
  }
  stream.on('error', () => undefined);
  stream.respond([
    ':status',
    '200',
    'content-type',
    'application/octet-stream',
    'content-length',
    String(body.length),
  ]);
  stream.end(body);
});
server.listen(Number(process.argv[2]), '127.0.0.1');
