/**
 * What a Node server without us costs under the same load: 64 bytes for a call, an echo for a WebSocket.
 * `node bare-server.mjs PORT`
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const body = 'x'.repeat(64);
const server = createServer((_req, res) => void res.writeHead(200, { 'Content-Length': 64 }).end(body));
new WebSocketServer({ server }).on('connection', (socket) =>
  socket.on('message', (data) => socket.send(data)),
);
server.listen(Number(process.argv[2]), '127.0.0.1');
