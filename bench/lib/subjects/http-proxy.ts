/**
 * http-proxy with a keep-alive agent, its best case. `node http-proxy.ts PORT UPSTREAM-PORT`
 */
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

const [port, upstream] = process.argv.slice(2);
const proxy = httpProxy.createProxyServer({
  target: { host: '127.0.0.1', port: Number(upstream) },
  agent: new Agent({ keepAlive: true, maxFreeSockets: 256 }),
});
proxy.on('error', (_error, _req, res) => res.end());
createServer((req, res) => proxy.web(req, res)).listen(Number(port), '127.0.0.1');
