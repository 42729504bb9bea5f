/** The command line as people meet it: the built executable, its help, and its refusals. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { statusTable } from '../../cli/client/status.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

async function slimfaas(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, HOME: '/nowhere', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { stdout, stderr, code: code as number };
}

test('--help lists every command, and a part’s help its flags with their variables and defaults', async () => {
  const all = await slimfaas(['--help']);
  assert.equal(all.code, 0);
  for (const command of [
    'proxy',
    'sidecar',
    'scaler',
    'webhook',
    'local',
    'inject',
    'status',
    'query',
    'wake',
    'call',
  ]) {
    assert.match(all.stdout, new RegExp(`slimfaas ${command}`), command);
  }
  const scaler = await slimfaas(['scaler', '--help']);
  assert.match(scaler.stdout, /--tick.*SLIMFAAS_TICK[\s\S]*default: 1/);
});

const refusals: [what: string, args: string[], env: Record<string, string>, message: RegExp][] = [
  ['no command', [], {}, /name a command/],
  ['an unknown command', ['frobnicate'], {}, /frobnicate/],
  ['an unknown flag', ['scaler', '--tik', '1'], {}, /unknown flag --tik; allowed: .*--tick/],
  ['a bad value', ['scaler', '--tick', 'soon'], {}, /--tick: "soon" is not allowed; use a number from/],
  [
    'a bad variable',
    ['scaler'],
    { SLIMFAAS_TICK: 'x' },
    /SLIMFAAS_TICK: "x" is not allowed; use a number from/,
  ],
  ['an unknown flag of the sidecar', ['sidecar', '--tik', '1'], {}, /unknown flag --tik; allowed: .*--port/],
  [
    'a bad value of the sidecar',
    ['sidecar', '--port', 'nine'],
    {},
    /--port: "nine" is not allowed; use a whole number/,
  ],
  ['a stray argument', ['proxy', 'now'], {}, /Unknown command: now/],
  [
    'a proxy URL that is none',
    ['status', '--proxy-url', 'nowhere'],
    {},
    /--proxy-url: "nowhere" is not a URL/,
  ],
];
for (const [what, args, env, message] of refusals) {
  test(`${what}: exit 2, and a line that says what is allowed`, async () => {
    const { code, stderr } = await slimfaas(args, env);
    assert.match(stderr, message);
    assert.equal(code, 2);
  });
}

test('status, wake and call speak to a proxy; an absent one is named', async (t) => {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (request.url?.startsWith('/wake')) return response.writeHead(204).end();
    if (request.url?.startsWith('/function/gone')) {
      const body = { error: 'unknown-function', message: 'no function "gone"' };
      return response.writeHead(404).end(JSON.stringify(body));
    }
    if (request.url?.startsWith('/function')) return response.end('hello');
    const fib = {
      Name: 'fib',
      Namespace: 'a',
      NumberReady: 1,
      NumberRequested: 2,
      PodType: 'Deployment',
      Visibility: 'Public',
    };
    return response.end(JSON.stringify([fib]));
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const url = ['--proxy-url', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`];

  assert.match((await slimfaas(['status', ...url])).stdout, /a +fib +1 +2 +Deployment +Public/);
  assert.equal((await slimfaas(['wake', 'fib', ...url])).stdout, 'fib: waking\n');
  assert.equal((await slimfaas(['call', 'fib', '/x?y=1', '--data', 'body', ...url])).stdout, 'hello');
  const failed = await slimfaas(['call', 'gone', ...url]);
  assert.equal(failed.code, 1);
  assert.deepEqual(seen, [
    'GET /status-functions',
    'POST /wake-function/fib',
    'POST /function/fib/x?y=1',
    'GET /function/gone/',
  ]);

  const absent = await slimfaas(['status', '--proxy-url', 'http://127.0.0.1:1']);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /no answer from http:\/\/127\.0\.0\.1:1\/status-functions; is the proxy there/);
});

test('check names every part that does not work, and why; exit 1', async (t) => {
  const scaler = createServer((_, response) => response.writeHead(503).end('the watch is not in sync yet'));
  scaler.listen(0, '127.0.0.1');
  await once(scaler, 'listening');
  t.after(() => scaler.close());
  const scalerUrl = `http://127.0.0.1:${(scaler.address() as AddressInfo).port}`;
  const gone = ['--proxy-url', 'http://127.0.0.1:9', '--webhook-url', 'https://127.0.0.1:9'];
  const { code, stdout } = await slimfaas([
    'check',
    ...gone,
    '--nats',
    'nats://127.0.0.1:9',
    '--scaler-url',
    scalerUrl,
  ]);
  assert.equal(code, 1);
  assert.match(stdout, /^proxy .*(ECONNREFUSED|bad port)/m);
  assert.match(stdout, /^scaler .*503: the watch is not in sync yet/m);
  assert.match(stdout, /^webhook .*ECONNREFUSED/m);
  assert.match(stdout, /^nats .*no server answers/m);
});

test('the status table pads its columns to their widest cell', () => {
  const row = {
    Namespace: 'n',
    NumberReady: 0,
    NumberRequested: 0,
    PodType: 'StatefulSet',
    Visibility: 'Private',
  };
  const lines = statusTable([
    { ...row, Name: 'a' },
    { ...row, Name: 'a-long-name' },
  ]).split('\n');
  assert.equal(lines.length, 3);
  assert.equal(new Set(lines.map((line) => line.search(/READY|0 /))).size, 1);
});
