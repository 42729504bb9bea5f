/** The built executable as an image or the npm package has it: dist/ alone, with no node_modules beside or above it. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { SIDECAR_ADMIN_PORT } from '../../common/function/names.ts';
import { ownAddress } from '../helpers/addresses.ts';
import { writeKubeconfig } from '../helpers/kubectl.ts';
import { startLocalApi } from '../helpers/local-api.ts';
import { waitFor } from '../helpers/wait.ts';

const folder = mkdtempSync(join(tmpdir(), 'slimfaas-dist-'));
after(() => rmSync(folder, { recursive: true, force: true }));
cpSync(join(import.meta.dirname, '../../dist'), folder, { recursive: true });
const script = join(folder, 'slimfaas.js');

/** Runs until the test is over. @returns what it wrote */
function start(t: TestContext, args: string[], env: Record<string, string> = {}): () => string {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (text += data.toString()));
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return () => text;
}

async function get(url: string, output: () => string): Promise<{ type: string; body: string }> {
  const answer = async () => {
    const response = await fetch(url);
    return {
      status: response.status,
      type: response.headers.get('content-type') ?? '',
      body: await response.text(),
    };
  };
  const { status, type, body } = await waitFor(answer, { what: `${url} answers:\n${output()}` });
  assert.equal(status, 200, body);
  return { type, body };
}

test('--help names every command', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--help'], {
    cwd: folder,
    env: {},
  });
  for (const command of [
    'proxy',
    'sidecar',
    'scaler',
    'webhook',
    'local',
    'inject',
    'status',
    'wake',
    'call',
    'jobs',
  ])
    assert.match(stdout, new RegExp(`slimfaas ${command}\\b`), command);
});

test('a sidecar loads one file until it listens, and what comes later takes from that file', () => {
  const text = (name: string) => readFileSync(join(folder, 'sidecar', name), 'utf8');
  assert.doesNotMatch(text('sidecar.js'), /\b(?:import|export)\s*(?:\{[^}]*\}\s*from\s*)?"\.\//);
  const later = readdirSync(join(folder, 'sidecar')).filter((name) => name !== 'sidecar.js');
  assert.ok(
    later.some((name) => /\bimport\{[^}]*\}from"\.\/sidecar\.js"/.test(text(name))),
    later.join(),
  );
});

test('dist/ is the npm package: packed, it has no dependency, brings the demo, and runs', async () => {
  const run = promisify(execFile);
  const home = { cwd: folder, env: { PATH: process.env['PATH'], HOME: folder } };
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '.'], home);
  const [{ filename, version, files }] = JSON.parse(stdout) as [PackedPackage];
  assert.equal(version, manifest.version);
  const paths = new Set(files.map(({ path }) => path));
  for (const path of ['slimfaas.js', 'install.yaml', 'demo/server.js', 'status-page/index.html', 'LICENSE'])
    assert.ok(paths.has(path), path);
  const modules = join(folder, 'elsewhere/node_modules');
  mkdirSync(modules, { recursive: true });
  await run('tar', ['xzf', filename, '-C', modules], home);
  const packed = join(modules, 'package');
  const own = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8')) as Record<string, unknown>;
  assert.equal(own['dependencies'], undefined);
  const { slimfaas } = own['bin'] as { slimfaas: string };
  const answer = await run(process.execPath, [join(packed, slimfaas), '--version'], home);
  assert.equal(answer.stdout.trim(), manifest.version);
  await run(process.execPath, ['--check', join(packed, 'demo/server.js')], home);
});

interface PackedPackage {
  readonly filename: string;
  readonly version: string;
  readonly files: readonly { readonly path: string }[];
}

test('sidecar: it listens, and its metrics are there', async (t) => {
  const host = ownAddress();
  const identity = { SLIMFAAS_FUNCTION: 'fn', SLIMFAAS_NAMESPACE: 'ns', SLIMFAAS_POD_NAME: 'fn-1' };
  const where = { SLIMFAAS_HOST: host, SLIMFAAS_APP_PORT: '8080', SLIMFAAS_NATS: 'nats://127.0.0.1:9' };
  const output = start(t, ['sidecar'], { ...identity, ...where });
  const { body } = await get(`http://${host}:${SIDECAR_ADMIN_PORT}/metrics`, output);
  assert.match(body, /slimfaas_sidecar_limit/);
});

/** Each of them costs every sidecar memory from its start: together 8 MiB and 20 ms. */
const HEAVY_MODULES = [
  'tls',
  'http2',
  'worker_threads',
  'internal/fs/promises',
  'internal/deps/undici/undici',
];

test('sidecar: when it listens, no module of Node is loaded that only some sidecars need', async (t) => {
  const host = ownAddress();
  const listing = `console.log(process.moduleLoadList.join('|'))`;
  const preload = `process.on('SIGUSR2', () => ${listing})`;
  const args = ['--import', `data:text/javascript,${preload}`, script, 'sidecar'];
  const identity = { SLIMFAAS_FUNCTION: 'fn', SLIMFAAS_NAMESPACE: 'ns', SLIMFAAS_POD_NAME: 'fn-1' };
  const where = { SLIMFAAS_HOST: host, SLIMFAAS_APP_PORT: '8080', SLIMFAAS_NATS: 'nats://127.0.0.1:9' };
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...identity, ...where },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  await waitFor(() => text.includes('"listening"'), { what: 'the sidecar listens' });
  child.kill('SIGUSR2');
  const line = await waitFor(() => /^Internal.*\|.*\n/m.exec(text)?.[0], { what: 'its modules are listed' });
  const loaded = new Set(line.trim().split('|'));
  assert.ok(loaded.has('NativeModule net'), line);
  for (const name of HEAVY_MODULES) assert.ok(!loaded.has(`NativeModule ${name}`), name);
});

test('proxy: the status page and what it is made of', async (t) => {
  const api = await startLocalApi((release) => t.after(release));
  const kubeconfig = await writeKubeconfig(api.kubeconfig());
  t.after(kubeconfig.remove);
  const host = ownAddress();
  const flags = [`--host=${host}`, '--port=5000', '--nats=nats://127.0.0.1:9'];
  const output = start(t, ['proxy', ...flags], { KUBECONFIG: kubeconfig.path });
  const page = await get(`http://${host}:5000/`, output);
  assert.match(page.type, /^text\/html/);
  assert.match(page.body, /<title>slimfaas<\/title>/);
  const parts = [...page.body.matchAll(/(?:src|href)="([^":]+\.(?:js|css))"/g)].map(
    (match) => match[1] as string,
  );
  assert.ok(parts.length >= 2, parts.join());
  for (const part of parts) await get(`http://${host}:5000/${part}`, output);
});
