/** `cli/setup.mjs`, which npm start and npm test run first, on machines that lack this or that. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

const source = join(import.meta.dirname, '../..');
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
/** Our own Node may lie where nobody else may look. */
const canBeNobody = isRoot && spawnSync(process.execPath, ['-v'], { uid: NOBODY, gid: NOBODY }).status === 0;

const ADVICE = (list: string, names: string) =>
  `setup: missing: ${names}; install (Debian: apt-get install ${list}) and put on the PATH\n`;

interface Machine {
  readonly root: string;
  /** A program on the PATH; each call of it is written down. `then` is what it does, in sh. */
  program(name: string, then?: string): void;
  /** npm packages as complete as `npm test` wants them. */
  installPackages(): void;
  run(...args: string[]): { code: number | null; stderr: string };
  runAs(uid: number): { code: number | null; stderr: string };
  /** `npm ci …`, in order. */
  calls(): string[];
}

/** A folder with a checkout's set-up in it and a PATH of its own, which leads nowhere else. */
function machine(t: TestContext): Machine {
  const root = mkdtempSync(join(tmpdir(), 'slimfaas-setup-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  chmodSync(root, 0o755);
  const bin = join(root, 'bin');
  const calls = join(root, 'calls');
  for (const folder of [bin, join(root, 'cli')]) mkdirSync(folder);
  for (const file of ['cli/setup.mjs', 'package.json', 'package-lock.json'])
    cpSync(join(source, file), join(root, file));
  const run = (args: readonly string[], ids: object = {}) => {
    const script = [join(root, 'cli/setup.mjs'), '--path-only', ...args];
    const { status, stderr } = spawnSync(process.execPath, script, { env: { PATH: bin }, ...ids });
    return { code: status, stderr: stderr.toString() };
  };
  return {
    root,
    program(name, then = 'exit 0') {
      const text = `#!/bin/sh\necho "${name} $*" >> ${calls}\nPATH=/usr/bin:/bin\n${then}\n`;
      writeFileSync(join(bin, name), text, { mode: 0o755 });
    },
    installPackages() {
      mkdirSync(join(root, 'node_modules/.bin'), { recursive: true });
      for (const name of ['node', 'esbuild', 'tsc']) writeFileSync(join(root, 'node_modules/.bin', name), '');
      writeFileSync(join(root, 'node_modules/.package-lock.json'), '{}');
    },
    run: (...args) => run(args),
    runAs: (uid) => run([], { uid, gid: uid }),
    calls: () => (existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : []),
  };
}

test('no nats-server and no apt-get: one line says what to do, exit 1', (t) => {
  const { run, installPackages } = machine(t);
  installPackages();
  assert.deepEqual(run(), { code: 1, stderr: ADVICE('nats-server', 'nats-server') });
  const both = ADVICE('nats-server chromium', 'nats-server, chromium');
  assert.deepEqual(run('--tests'), { code: 1, stderr: both });
});

test('who is not root is told the same, and apt-get is not called', { skip: !canBeNobody }, (t) => {
  const { runAs, installPackages, program, calls } = machine(t);
  installPackages();
  program('apt-get');
  assert.deepEqual(runAs(NOBODY), { code: 1, stderr: ADVICE('nats-server', 'nats-server') });
  assert.deepEqual(calls(), []);
});

test('root with apt-get: what is missing is installed, and nothing else', { skip: !isRoot }, (t) => {
  const { run, installPackages, program, calls } = machine(t);
  installPackages();
  program('nats-server');
  program('apt-get');
  assert.deepEqual(run('--tests'), { code: 0, stderr: '' });
  assert.deepEqual(calls(), [
    'apt-get -qq update',
    'apt-get -qq install -y --no-install-recommends chromium',
  ]);
});

test('apt-get fails: the same line', { skip: !isRoot }, (t) => {
  const { run, installPackages, program } = machine(t);
  installPackages();
  program('apt-get', 'exit 100');
  assert.deepEqual(run(), { code: 1, stderr: ADVICE('nats-server', 'nats-server') });
});

test('packages that are there and as new as the lock file are left alone; others are installed', (t) => {
  const { root, run, installPackages, program, calls } = machine(t);
  for (const name of ['nats-server', 'chromium', 'npm']) program(name);
  installPackages();
  assert.deepEqual([run('--tests').code, run().code, calls()], [0, 0, []]);
  const isInstalled = () => calls().splice(-1)[0]?.startsWith('npm ci --include=dev ');
  // A newer lock file, a missing program, nothing at all.
  const soon = new Date(Date.now() + 60_000);
  utimesSync(join(root, 'package-lock.json'), soon, soon);
  assert.deepEqual([run('--tests').code, isInstalled(), calls().length], [0, true, 1]);
  utimesSync(join(root, 'package-lock.json'), 1, 1);
  rmSync(join(root, 'node_modules/.bin/tsc'));
  assert.deepEqual([run('--tests').code, isInstalled(), calls().length], [0, true, 2]);
  assert.deepEqual([run().code, calls().length], [0, 2], 'npm start needs no type checker');
  rmSync(join(root, 'node_modules'), { recursive: true });
  assert.deepEqual([run('--tests').code, isInstalled(), calls().length], [0, true, 3]);
});

test('npm fails: one line says so', (t) => {
  const { run, program } = machine(t);
  program('nats-server');
  program('npm', 'exit 1');
  const stderr = 'setup: npm ci failed; run it by hand in this folder and see what it says\n';
  assert.deepEqual(run(), { code: 1, stderr });
});

test('npm start: only what runs, and the pinned Node in its place', (t) => {
  const { root, run, program, calls } = machine(t);
  program('nats-server');
  // $3 is the folder behind --prefix.
  program(
    'npm',
    'if [ "$1" = install ]; then mkdir -p "$3/node_modules/node/bin"; echo pinned > "$3/node_modules/node/bin/node"; else mkdir -p node_modules; fi',
  );
  assert.deepEqual(run(), { code: 0, stderr: '' });
  const { devDependencies } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  assert.equal(calls().length, 2);
  assert.ok(calls().some((call) => call.startsWith('npm ci --omit=dev ')));
  assert.ok(calls().some((call) => call.endsWith(` node@${devDependencies['node']}`)));
  assert.equal(readFileSync(join(root, 'node_modules/.bin/node'), 'utf8'), 'pinned\n');
  assert.equal(existsSync(join(root, '.setup')), false);
});
