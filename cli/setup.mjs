/**
 * What `npm start` and `npm test` do first on a machine that may have only Node and npm: install the npm
 * packages (which bring the pinned Node) and nats-server, or say in one line what to do. Plain JavaScript, no
 * dependency, because it runs on whatever Node the machine has and before anything is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const isForTests = process.argv.includes('--tests');

/**
 * npm writes node_modules/.package-lock.json last: as new as the lock file means complete and current. To start
 * takes a third of what the tests need, and a first `npm start` should not wait for a type checker.
 */
function packagesAreCurrent() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  const programs = isForTests ? ['node', 'esbuild', 'tsc'] : ['node', 'esbuild'];
  const has = (program) => existsSync(join(root, 'node_modules', '.bin', program));
  if (!existsSync(installed) || !programs.every(has)) return false;
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function isOnPath(program) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return [...folders, '/usr/sbin', '/usr/local/sbin'].some((folder) => existsSync(join(folder, program)));
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return !error && status === 0;
}

function fail(advice) {
  process.stderr.write(`setup: ${advice}\n`);
  process.exit(1);
}

function ensurePackages() {
  if (packagesAreCurrent()) return;
  process.stdout.write('setup: installing npm packages\n');
  const which = isForTests ? '--include=dev' : '--omit=dev';
  if (!run('npm', ['ci', which, '--no-audit', '--no-fund', '--loglevel=error'])) {
    fail('npm ci failed; run it by hand in this folder and see what it says');
  }
}

function ensureDebianPackage(program, packageName) {
  if (isOnPath(program)) return;
  const advice = `${program} is missing; install it (Debian: apt-get install ${packageName}) and put it on the PATH`;
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) fail(advice);
  process.stdout.write(`setup: installing ${packageName}\n`);
  const install = ['-qq', 'install', '-y', '--no-install-recommends', packageName];
  if (!run('apt-get', ['-qq', 'update']) || !run('apt-get', install)) fail(advice);
}

ensurePackages();
ensureDebianPackage('nats-server', 'nats-server');
if (isForTests) ensureDebianPackage('chromium', 'chromium');
