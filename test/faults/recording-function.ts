/**
 * A function for fault tests: writes down each job's id in a file before it answers, so that what it has seen
 * outlives it. `node recording-function.ts <file>`.
 */
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const file = openSync(process.argv[2] as string, 'a');
createServer((req, res) => {
  req.resume();
  const id = req.headers['slimfaas-element-id'];
  // One write of one line, appended: whole, whoever else writes.
  if (id !== undefined) writeSync(file, `${String(id)} ${String(req.headers['slimfaas-try-number'])}\n`);
  res.end();
}).listen(Number(process.env['PORT'] ?? 5000), process.env['HOST'] ?? '0.0.0.0');
