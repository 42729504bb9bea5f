/** A function that takes its time and next to no CPU: `node slow.ts PORT HOST MILLISECONDS`, 64 bytes each. */
import { createServer } from 'node:http';

const [port, host, milliseconds] = process.argv.slice(2);
const body = Buffer.alloc(64, 'x');

createServer({ keepAliveTimeout: 75_000 }, (_req, res) => {
  setTimeout(() => {
    res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length });
    res.end(body);
  }, Number(milliseconds));
}).listen(Number(port), host);
