/**
 * A function that tells a UDP port when which request arrived: `node arrivals.ts <port>`. Times are the kernel's
 * monotonic clock, which all processes of a machine share. Sent in batches, because a burst of single datagrams
 * overflows the receiver's buffer.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

const port = Number(process.argv[2]);
const socket = createSocket('udp4');
let batch: string[] = [];

function flush(): void {
  if (batch.length === 0) return;
  socket.send(batch.join('\n'), port, '127.0.0.1');
  batch = [];
}
setInterval(flush, 10);

createServer((req, res) => {
  const at = process.hrtime.bigint();
  req.resume();
  req.once('end', () => {
    const mark = req.headers['x-bench'];
    if (mark !== undefined) batch.push(`${String(mark)} ${at}`);
    if (batch.length >= 500) flush();
    res.end();
  });
}).listen(Number(process.env['PORT'] ?? 5000), process.env['HOST'] ?? '0.0.0.0');
