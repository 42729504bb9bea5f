/**
 * undici's dispatch, the cheapest of its ways, as a reverse proxy. `node undici.ts PORT UPSTREAM-PORT`
 */
import { createServer } from 'node:http';
import { Pool } from 'undici';

const [port, upstream] = process.argv.slice(2);
const pool = new Pool(`http://127.0.0.1:${upstream}`, { connections: 256, pipelining: 1 });

createServer((req, res) => {
  const headers = req.rawHeaders.filter(
    (_, i) => !/^(connection|keep-alive|transfer-encoding)$/i.test(req.rawHeaders[i & ~1] as string),
  );
  pool.dispatch(
    {
      path: req.url as string,
      method: req.method as 'GET',
      headers,
      body: req.method === 'GET' ? null : req,
    },
    {
      onRequestStart() {},
      onResponseStart(controller, statusCode, received) {
        const kept = Object.entries(received).filter(([name]) => !/^(connection|keep-alive)$/.test(name));
        res.writeHead(statusCode, Object.fromEntries(kept));
        res.on('drain', () => controller.resume());
      },
      onResponseData(controller, chunk) {
        if (!res.write(chunk)) controller.pause();
      },
      onResponseEnd() {
        res.end();
      },
      onResponseError() {
        res.destroy();
      },
    },
  );
}).listen(Number(port), '127.0.0.1');
