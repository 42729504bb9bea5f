/**
 * What `npm start` and `npm test` do first on a machine that may have only Node and npm: install the npm
 * packages (which bring the pinned Node) and nats-server, or say in one line what to do. Plain JavaScript, no
 * dependency, because it runs on whatever Node the machine has and before anything is installed.
 *
 * A first `npm start` should not wait for a type checker, so it installs only what it runs on: a third of what
 * the tests need, with the pinned Node (half of those bytes) unpacked beside the rest instead of after it.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const isForTests = process.argv.includes('--tests');
const modules = join(root, 'node_modules');

/** Debian keeps nats-server there, where a user's PATH does not lead. Its test looks at a PATH alone. */
const systemFolders = process.argv.includes('--path-only') ? [] : ['/usr/sbin', '/usr/local/sbin'];

/** Quiet, and from npm's cache wherever it has the very version that is asked for. */
const NPM = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

/** npm writes node_modules/.package-lock.json last: as new as the lock file means complete and current. */
function packagesAreCurrent() {
  const installed = join(modules, '.package-lock.json');
  const programs = isForTests ? ['node', 'esbuild', 'tsc'] : ['node', 'esbuild'];
  const has = (program) => existsSync(join(modules, '.bin', program));
  if (!existsSync(installed) || !programs.every(has)) return false;
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function isOnPath(program) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return [...folders, ...systemFolders].some((folder) => existsSync(join(folder, program)));
}

function run(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve) => {
    child.once('error', () => resolve(false));
    child.once('close', (status) => resolve(status === 0));
  });
}

function fail(advice) {
  process.stderr.write(`setup: ${advice}\n`);
  process.exit(1);
}

async function ensurePackages() {
  if (packagesAreCurrent()) return;
  process.stdout.write('setup: installing npm packages\n');
  const isDone = isForTests ? await run('npm', ['ci', '--include=dev', ...NPM]) : await installWhatRuns();
  if (!isDone) fail('npm ci failed; run it by hand in this folder and see what it says');
}

/** The Node is a dev dependency (an image brings its own), so it is fetched by itself and put in its place. */
async function installWhatRuns() {
  const aside = join(root, '.setup');
  const done = await Promise.all([run('npm', ['ci', '--omit=dev', ...NPM]), installNode(aside)]);
  if (done.every(Boolean)) {
    rmSync(join(modules, 'node'), { recursive: true, force: true });
    renameSync(join(aside, 'node_modules', 'node'), join(modules, 'node'));
    mkdirSync(join(modules, '.bin'), { recursive: true });
    rmSync(join(modules, '.bin', 'node'), { force: true });
    symlinkSync('../node/bin/node', join(modules, '.bin', 'node'));
  }
  rmSync(aside, { recursive: true, force: true });
  return done.every(Boolean);
}

function installNode(folder) {
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"allowScripts":{"node":true}}');
  return run('npm', ['install', '--prefix', folder, '--no-save', ...NPM, `node@${devDependencies.node}`]);
}

async function ensureDebianPackages(wanted) {
  const missing = wanted.filter((name) => !isOnPath(name));
  if (missing.length === 0) return;
  const list = missing.join(' ');
  const advice = `missing: ${missing.join(', ')}; install (Debian: apt-get install ${list}) and put on the PATH`;
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) fail(advice);
  process.stdout.write(`setup: installing ${list}\n`);
  const install = ['-qq', 'install', '-y', '--no-install-recommends', ...missing];
  const isDone = (await run('apt-get', ['-qq', 'update'])) && (await run('apt-get', install));
  if (!isDone) fail(advice);
}

await Promise.all([
  ensurePackages(),
  ensureDebianPackages(isForTests ? ['nats-server', 'chromium'] : ['nats-server']),
]);
