/**
 * The function behind every subject, and the bare Node server to compare with: `/bytes/N` answers N bytes,
 * anything else with what was posted counted. `node origin.ts PORT [HOST]`
 */
import { createServer } from 'node:http';

const bodies = new Map<string, Buffer>();

function bodyOf(path: string): Buffer {
  let body = bodies.get(path);
  if (!body) {
    body = Buffer.alloc(Number(path.slice(path.lastIndexOf('/') + 1)) || 2, 'x');
    bodies.set(path, body);
  }
  return body;
}

createServer({ keepAliveTimeout: 75_000 }, (req, res) => {
  const path = req.url ?? '/';
  if (req.method === 'GET') {
    const body = bodyOf(path);
    res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length });
    res.end(body);
    return;
  }
  let size = 0;
  req.on('data', (chunk: Buffer) => (size += chunk.length));
  req.on('end', () => {
    const text = String(size);
    res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': text.length });
    res.end(text);
  });
}).listen(Number(process.argv[2]), process.argv[3] ?? '127.0.0.1');
