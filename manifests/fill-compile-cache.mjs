/**
 * Fills NODE_COMPILE_CACHE with all that a sidecar loads, the NATS client too, which comes after the first answer. Starts
 * one before a small app, calls it, waits until it has tried to reach NATS, and ends it.
 *     NODE_COMPILE_CACHE=/compile-cache node fill-compile-cache.mjs /app/slimfaas.js
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const TRIES = 600;
const CALLS = 3;
const app = createServer((_req, res) => void res.end('ok'));
const [appPort, port, adminPort] = [await listen(app), await freePort(), await freePort()];
const flags = { function: 'f', 'pod-name': 'p', 'log-level': 'debug', host: '127.0.0.1', port };
// Nobody listens on port 9: the NATS client is loaded all the same.
const more = { 'admin-port': adminPort, 'app-port': appPort, nats: 'nats://127.0.0.1:9', 'drain-seconds': 1 };
const args = Object.entries({ ...flags, ...more }).map(([name, value]) => `--${name}=${value}`);
// The seed makes the compiled code of two builds equal, but for what depends on time.
const sidecar = spawn(process.execPath, ['--random-seed=1', process.argv[2], 'sidecar', ...args], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
let said = '';
sidecar.stdout.on('data', (text) => (said += text));
const ended = once(sidecar, 'exit');
try {
  for (let calls = 0, tries = 0; calls < CALLS; tries++) {
    if (tries === TRIES || sidecar.exitCode !== null) throw new Error(`the sidecar did not answer:\n${said}`);
    if (await answers()) calls++;
    else await sleep(50);
  }
  for (let tries = 0; !said.includes('no NATS server'); tries++) {
    if (tries === TRIES) throw new Error(`the sidecar did not load the NATS client:\n${said}`);
    await sleep(50);
  }
} finally {
  sidecar.kill('SIGTERM');
  await ended;
  app.close();
  app.closeAllConnections();
}

async function answers() {
  try {
    const res = await fetch(`http://127.0.0.1:${port}/`);
    return (await res.text()) === 'ok';
  } catch {
    return false;
  }
}

async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

async function freePort() {
  const server = createServer();
  const free = await listen(server);
  server.close();
  return free;
}
