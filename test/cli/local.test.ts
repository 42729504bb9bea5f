/** `slimfaas local` as a person meets it: the built executable, a call from zero, Ctrl-C, and what is refused. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { waitFor } from '../helpers/wait.ts';
import { processesWith } from '../local-cluster/support/pods.ts';

const script = join(import.meta.dirname, '../../dist/slimfaas.js');

/** A temp folder of its own, so that what a run leaves behind can be told from others'. */
const temp = mkdtempSync(join(tmpdir(), 'slimfaas-test-'));
const home = join(temp, 'home');
after(() => rmSync(temp, { recursive: true, force: true }));

interface Run {
  readonly child: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  output(): string;
  errors(): string;
}

function start(...args: string[]): Run {
  const child = spawn(process.execPath, [script, 'local', ...args], {
    env: { PATH: process.env['PATH'], HOME: home, TMPDIR: temp },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  after(() => child.kill('SIGKILL'));
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (texts.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (texts.stderr += chunk.toString()));
  const exited = once(child, 'close').then(
    ([code, signal]) => ({ code, signal }) as { code: number; signal: string },
  );
  return { child, exited, output: () => texts.stdout, errors: () => texts.stderr };
}

/** Its pods find their kubeconfig in its temp folder, its watchdog is told it, so all of its processes name it. */
async function assertNothingLeft(): Promise<void> {
  await waitFor(() => processesWith(`${temp}/slimfaas-local-`).length === 0, { what: 'no process is left' });
  await waitFor(() => !readdirSync(temp).some(isClusterFolder), {
    what: 'no temp folder is left',
  });
}

const isClusterFolder = (name: string) => name.startsWith('slimfaas-local-');

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
}

test('comes up, says what is where, answers from zero, and Ctrl-C leaves nothing', async () => {
  const run = start('--port', '0');
  await waitFor(() => run.output().includes('Ctrl-C stops everything.'), {
    what: 'it is up',
    timeoutMs: 60_000,
  });
  const address = /slimfaas is up: (http:\/\/127\.0\.0\.1:\d+)/.exec(run.output())?.[1] ?? '';
  const kubeconfig = /kubeconfig {3}(\S+)/.exec(run.output())?.[1] ?? '';
  assert.ok(run.output().includes(`curl ${address}/function/fibonacci1/hello/guillaume`));
  assert.ok(existsSync(kubeconfig));
  assert.equal(dirname(dirname(kubeconfig)), temp);
  const response = await fetch(`${address}/function/fibonacci1/hello/guillaume`);
  assert.equal(response.status, 200);
  assert.match(await response.text(), /guillaume/);
  await assertDemoAnswers(address);
  await assertCommandsFindIt();
  const pids = processesWith(dirname(kubeconfig));
  assert.ok(pids.length > 5, 'the parts run');
  run.child.kill('SIGINT');
  assert.deepEqual(await run.exited, { code: 0, signal: null }, run.errors());
  await assertNothingLeft();
  assert.deepEqual(
    pids.filter((pid) => existsSync(`/proc/${pid}`)),
    [],
  );
  assert.equal(await isListening(Number(new URL(address).port)), false);
  const { code, stderr } = await command(['status']);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /no answer from http:\/\/127\.0\.0\.1:5000\/status-functions/,
    'nothing names it any more',
  );
});

/** No flag and no variable says where the cluster is. */
async function assertCommandsFindIt(): Promise<void> {
  for (const [args, expected] of [
    [['status'], /fibonacci1/],
    [['call', 'fibonacci1', '/hello/you'], /you/],
    [['status', 'fibonacci1'], /fibonacci1[^]* 0 → 1 /],
    [['status', '--outdated'], /./],
    [['query', 'vector(7)'], /7/],
    [['jobs', 'dead', 'list'], /./],
  ] as const) {
    const { code, stdout, stderr } = await command(args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    assert.match(stdout, expected);
  }
}

async function command(args: readonly string[]) {
  const child = spawn(process.execPath, [script, ...args], {
    env: { PATH: process.env['PATH'], HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { stdout, stderr, code: code as number };
}

/** The other functions of manifests/demo: two with what they depend on, and one that is private. */
async function assertDemoAnswers(address: string): Promise<void> {
  const answers = await Promise.all(
    ['fibonacci2', 'fibonacci3', 'fibonacci4'].map(async (name) => {
      const response = await fetch(`${address}/function/${name}/fibonacci/10`);
      return { name, status: response.status, body: (await response.json()) as Record<string, unknown> };
    }),
  );
  assert.deepEqual(
    answers.map(({ name, status, body }) => [name, status, body['result'] ?? body['error']]),
    [
      ['fibonacci2', 200, 55],
      ['fibonacci3', 200, 55],
      ['fibonacci4', 404, 'unknown-function'],
    ],
  );
  const response = await fetch(`${address}/status-functions`);
  const functions = (await response.json()) as {
    Name: string;
    NumberReady: number;
    NumberRequested: number;
  }[];
  const requested = Object.fromEntries(functions.map((each) => [each.Name, each.NumberRequested]));
  // fibonacci2 depends on fibonacci1 and mysql; fibonacci3 starts with two; the private one is not shown.
  assert.deepEqual(requested, { fibonacci1: 1, fibonacci2: 1, fibonacci3: 2, mysql: 1 });
}

for (const [signal, until] of [
  ['SIGINT', () => readdirSync(temp).some(isClusterFolder)],
  // The first word of any part, about a second before all of them are up.
  ['SIGTERM', (run: Run) => /webhook .* certificates changed/.test(run.output())],
] as const) {
  test(`${signal} in the middle of the start leaves nothing`, async () => {
    const run = start('--port', '0');
    await waitFor(() => until(run), { what: 'it is on its way', timeoutMs: 30_000, intervalMs: 1 });
    run.child.kill(signal);
    assert.deepEqual(await run.exited, { code: 0, signal: null }, run.errors());
    assert.equal(run.output().includes('slimfaas is up'), false);
    await assertNothingLeft();
  });
}

test('killed -9, nothing is left either', async () => {
  const run = start('--port', '0', '--no-demo');
  await waitFor(() => run.output().includes('NATS connected'), { what: 'the parts run', timeoutMs: 30_000 });
  run.child.kill('SIGKILL');
  await run.exited;
  await assertNothingLeft();
});

test('a port that is taken: one line that names it and --port, exit 2', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const run = start('--port', String(port));
  assert.equal((await run.exited).code, 2);
  server.close();
  assert.equal(
    run.errors(),
    `slimfaas: port ${port} of 127.0.0.1 is in use by another program; choose another one with --port\n`,
  );
  await assertNothingLeft();
});

test('a malformed manifest: file, document and field, exit 2, and nothing was started', async () => {
  const file = join(temp, 'mine.yaml');
  writeFileSync(
    file,
    'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n---\napiVersion: v1\nkind: Service\n',
  );
  const run = start('--port', '0', '--manifests', file);
  assert.equal((await run.exited).code, 2);
  assert.equal(run.errors(), `slimfaas: ${file}, document 2: metadata.name is missing\n`);
});

test('a manifest that the API refuses: file, document and field, exit 2', async () => {
  const file = join(temp, 'refused.yaml');
  writeFileSync(
    file,
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec: { replicas: -1 }\n',
  );
  const run = start('--port', '0', '--no-demo', '--manifests', file);
  assert.equal((await run.exited).code, 2);
  assert.match(
    run.errors(),
    /^slimfaas: .*refused\.yaml, document 1: Deployment\.apps "a" is invalid: .*spec\.replicas.*\n$/,
  );
  await assertNothingLeft();
});
