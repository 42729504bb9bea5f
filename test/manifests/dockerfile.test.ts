/**
 * manifests/Dockerfile without Docker: its steps, in a folder that has what it copies and nothing else. Given up: the base
 * image, `npm ci` (the packages of this repository stand in), and whose files are whose.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { webhookFlags } from '../../webhook/flags.ts';
import { ofKind, readManifests, templateOf } from './manifests.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(join(root, 'manifests/Dockerfile'), 'utf8');
const instructions = text
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line !== '');

/** The arguments of each instruction of a kind, in order. */
function all(kind: string): string[] {
  return instructions
    .filter((line) => line.startsWith(`${kind} `))
    .map((line) => line.slice(kind.length + 1));
}

function only(kind: string): string {
  const [argument, ...more] = all(kind);
  assert.ok(argument !== undefined && more.length === 0, `one ${kind}`);
  return argument;
}

const run = promisify(execFile);

describe('the Dockerfile, step by step', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slimfaas-image-'));
  const [source, app] = [join(folder, 'src'), join(folder, 'app')];
  const cache = join(app, 'compile-cache');
  const env = { PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter), HOME: folder };
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** A line of the second stage, where /app is. */
  const shell = (line: string) =>
    run('sh', ['-c', line.replaceAll('/app', app)], {
      cwd: folder,
      env: { ...env, NODE_COMPILE_CACHE: cache },
    });

  before(async () => {
    for (const line of all('COPY').filter((copy) => !copy.startsWith('--from'))) {
      const paths = line.split(' ');
      const target = paths.pop() as string;
      for (const path of paths)
        cpSync(join(root, path), join(source, target === './' ? path : target), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'));
    await run('npm', ['run', 'build'], { cwd: source, env });
    cpSync(join(source, 'dist'), app, { recursive: true });
  });

  it('calls npm scripts that there are, and installs what they need', () => {
    const scripts = all('RUN').flatMap((line) => /^npm run (\S+)$/.exec(line)?.[1] ?? []);
    assert.deepEqual(scripts, ['build']);
    for (const script of scripts) assert.ok(script in manifest.scripts);
    assert.ok('esbuild' in manifest.dependencies, 'npm ci --omit=dev brings the bundler');
  });

  it('what it copies is enough to build, and what was built is what it takes', () => {
    assert.ok(readdirSync(app).includes('slimfaas.js'));
    const taken = all('COPY').find((copy) => copy.startsWith('--from'));
    assert.equal(taken, '--from=build /src/dist /app');
  });

  it('has the Node that everything is tested with, from no host by name', () => {
    const [major] = manifest.devDependencies.node.split('.');
    for (const from of all('FROM')) assert.match(from, new RegExp(`^node:${major}-slim( AS build)?$`));
  });

  it('its entry point runs', async () => {
    const [command, ...args] = JSON.parse(only('ENTRYPOINT')) as [string, ...string[]];
    const { stdout } = await shell([command, ...args, '--version'].join(' '));
    assert.equal(stdout.trim(), manifest.version);
  });

  it('is the user that the webhook and the manifests set', () => {
    const user = webhookFlags['sidecar-user'].default;
    assert.equal(only('USER'), `${user}:${user}`);
    for (const workload of ofKind(readManifests('install.yaml'), 'Deployment'))
      assert.equal(templateOf(workload).spec?.securityContext?.runAsUser, Number(user));
  });

  it('fills the compile cache with all that a sidecar loads', async () => {
    assert.equal(only('ENV'), 'NODE_COMPILE_CACHE=/app/compile-cache');
    const line = all('RUN').find((command) => command.includes('--help')) as string;
    await shell(line);
    const cached = () => readdirSync(cache, { recursive: true, encoding: 'utf8' }).length;
    const before = cached();
    assert.ok(before > 20, `${before} files`);
    await assert.rejects(shell('node /app/slimfaas.js sidecar --unknown'), { code: 2 });
    assert.equal(cached(), before);
  });
});
