/**
 * The Dockerfiles without a container tool: their steps, in a folder that has what they copy and nothing else. Given up:
 * the base image, `npm ci` (the packages of this repository stand in), and whose files are whose.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { webhookFlags } from '../../webhook/flags.ts';
import { ofKind, readManifests, templateOf } from './manifests.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** The instructions of one stage. */
class Stage {
  readonly from: string;
  readonly #lines: readonly string[];

  constructor(lines: readonly string[]) {
    this.from = (lines[0] as string).slice('FROM '.length);
    this.#lines = lines;
  }

  /** The arguments of each instruction of a kind, in order. */
  all(kind: string): string[] {
    return this.#lines
      .filter((line) => line.startsWith(`${kind} `))
      .map((line) => line.slice(kind.length + 1));
  }

  only(kind: string): string {
    const [argument, ...more] = this.all(kind);
    assert.ok(argument !== undefined && more.length === 0, `one ${kind}`);
    return argument;
  }

  /** What it copies from the checkout: `from to`. */
  copies(): string[] {
    return this.all('COPY').filter((copy) => !copy.startsWith('--from'));
  }
}

function readStages(path: string): Stage[] {
  const lines = readFileSync(join(root, path), 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '');
  const starts = lines.flatMap((line, index) => (line.startsWith('FROM ') ? [index] : []));
  return starts.map((start, i) => new Stage(lines.slice(start, starts[i + 1])));
}

const product = readStages('manifests/Dockerfile') as [Stage, Stage, Stage];
const demo = readStages('manifests/demo/Dockerfile') as [Stage, Stage];

const IMAGES = [
  ['product', product],
  ['demo', demo],
] as const;

for (const [name, stages] of IMAGES)
  describe(`the image of the ${name}`, () => {
    const last = stages.at(-1) as Stage;

    it('is built on the Node that everything is tested with, from no host by name, for no processor by name', () => {
      const [major] = manifest.devDependencies.node.split('.');
      for (const { from } of stages.slice(0, -1))
        assert.match(from, new RegExp(`^node:${major}-slim AS \\w+$`));
      assert.equal(last.from, 'scratch');
      const text = stages.flatMap((stage) => stage.all('RUN')).join('\n') + read('manifests/node-root.sh');
      assert.doesNotMatch(text, /x86|amd64|arm64|aarch64|x64|linux-gnu/);
    });

    it('is the user that the webhook and the manifests set, and holds no more than it takes from before', () => {
      const user = webhookFlags['sidecar-user'].default;
      assert.equal(last.only('USER'), `${user}:${user}`);
      for (const workload of ofKind(readManifests('install.yaml'), 'Deployment'))
        assert.equal(templateOf(workload).spec?.securityContext?.runAsUser, Number(user));
      assert.deepEqual(last.copies(), []);
      assert.ok(last.all('COPY').every((copy) => copy.startsWith('--from=')));
    });

    it('says what it is, of which version and revision', () => {
      const labels = last.only('LABEL');
      assert.match(labels, /org\.opencontainers\.image\.title="slimfaas/);
      for (const [name, argument] of [
        ['version', 'VERSION'],
        ['revision', 'REVISION'],
      ]) {
        assert.ok(last.all('ARG').includes(`${argument}=`), argument);
        assert.ok(labels.includes(`org.opencontainers.image.${name}="$${argument}"`), labels);
      }
    });

    it('has no shell: what it runs is named by its whole path', () => {
      for (const command of [...last.all('RUN'), last.only('ENTRYPOINT')])
        assert.equal((JSON.parse(command) as string[])[0], '/usr/local/bin/node');
    });

    it('what it copies is there, and no .dockerignore keeps it out', () => {
      const ignored = read('.dockerignore').split('\n').filter(Boolean);
      for (const copy of stages.flatMap((stage) => stage.copies()))
        for (const path of copy.split(' ').slice(0, -1)) {
          assert.ok(existsSync(join(root, path)), path);
          assert.ok(!ignored.some((line) => path === line || path.startsWith(`${line}/`)), path);
        }
    });
  });

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'slimfaas-image-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const PATH = [dirname(process.execPath), process.env['PATH']].join(delimiter);

describe('the product’s Dockerfile, step by step', () => {
  const [building, compiling, last] = product;
  const folder = scratchFolder();
  const [source, app] = [join(folder, 'src'), join(folder, 'app')];
  const cache = join(folder, 'compile-cache');
  const env = { PATH, HOME: folder };

  /** A line of a stage where /app is. */
  const shell = (line: string) =>
    run(
      'sh',
      [
        '-c',
        line
          .replaceAll('/app', app)
          .replaceAll(' /fill-', ` ${root}/manifests/fill-`)
          .replaceAll('/usr/local/bin/node', process.execPath),
      ],
      {
        cwd: folder,
        env: { ...env, NODE_COMPILE_CACHE: cache },
      },
    );

  before(async () => {
    for (const line of building.copies()) {
      const paths = line.split(' ');
      const target = paths.pop() as string;
      for (const path of paths)
        cpSync(join(root, path), join(source, target === './' ? path : target), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'));
    await run('npm', ['run', 'build', '--', '--image'], { cwd: source, env });
    cpSync(join(source, 'dist'), app, { recursive: true });
  });

  it('calls npm scripts that there are, and installs what they need', () => {
    assert.deepEqual(
      building.all('RUN').filter((line) => line.startsWith('npm run')),
      ['npm run build -- --image'],
    );
    assert.ok('build' in manifest.scripts);
    assert.ok('esbuild' in manifest.dependencies, 'npm ci --omit=dev brings the bundler');
  });

  it('what it copies is enough to build, and what was built is what it takes', () => {
    assert.ok(readdirSync(app).includes('slimfaas.js'));
    assert.ok(compiling.all('COPY').includes('--from=build /src/dist /app'));
    for (const path of ['/app', '/compile-cache'])
      assert.ok(last.all('COPY').includes(`--from=compiled --chown=65532:65532 ${path} ${path}`));
  });

  it('builds the same bytes again', async () => {
    await run('npm', ['run', 'build', '--', '--image'], { cwd: source, env });
    const again = join(source, 'dist');
    const names = readdirSync(again, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(readdirSync(app, { recursive: true, encoding: 'utf8' }).toSorted(), names.toSorted());
    for (const name of names.filter((path) => /\.\w+$/.test(path)))
      assert.ok(readFileSync(join(app, name)).equals(readFileSync(join(again, name))), name);
  });

  it('holds nothing that only a laptop needs', async () => {
    const files = readdirSync(app, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      files.filter((name) => /^(local|demo|install|README)/.test(name)),
      [],
    );
    await assert.rejects(shell('node /app/slimfaas.js local'), /Unknown command: local/);
  });

  it('its entry point runs', async () => {
    const command = JSON.parse(last.only('ENTRYPOINT')) as string[];
    const { stdout } = await shell([...command, '--version'].join(' '));
    assert.equal(stdout.trim(), manifest.version);
  });

  it('fills the compile cache with all that a sidecar loads', async () => {
    assert.equal(compiling.only('ENV'), 'NODE_COMPILE_CACHE=/compile-cache');
    assert.match(last.all('ENV').join('\n'), /NODE_COMPILE_CACHE=\/compile-cache$/m);
    const line = compiling.all('RUN').find((command) => command.includes('--help')) as string;
    await shell(line);
    const cached = () => readdirSync(cache, { recursive: true, encoding: 'utf8' }).length;
    const before = cached();
    assert.ok(before > 20, `${before} files`);
    await shell('node /fill-compile-cache.mjs /app/slimfaas.js'); // a sidecar that answers calls
    assert.equal(cached(), before);
  });
});

describe('the allocator', () => {
  const last = product[2];
  const [, library = ''] = /LD_PRELOAD=(\S+)/.exec(last.all('ENV').join(' ')) ?? [];

  it('is in the product’s image, where the loader is told to look', () => {
    const line = product[1].all('RUN').find((command) => command.includes('dpkg -L')) as string;
    const [, folder = ''] = /\/root-folder(\S+)$/.exec(line) ?? [];
    assert.equal(library, `${folder}libjemalloc.so.2`);
  });

  it('is no affair of a function: the demo’s image has none', () =>
    assert.doesNotMatch(read('manifests/demo/Dockerfile'), /LD_PRELOAD|MALLOC/));

  it('that cannot be loaded ends the build', async () => {
    const line = last.all('RUN').find((command) => command.includes('sharedObjects')) as string;
    const [, ...args] = JSON.parse(line) as string[];
    const env = { PATH, LD_PRELOAD: '/no/libjemalloc.so.2' };
    await assert.rejects(run(process.execPath, args, { env }), { code: 1 });
  });
});

describe('the demo’s Dockerfile, step by step', () => {
  it('the server without its types is a program that Node runs', async () => {
    const folder = scratchFolder();
    cpSync(join(root, 'manifests/demo/server.ts'), join(folder, 'src/server.ts'));
    const line = demo[0].all('RUN').find((command) => command.includes('strip')) as string;
    const inFolder = line.replaceAll(/\/(app|src)\b/g, `${folder}/$1`);
    await run('sh', ['-c', inFolder], { env: { PATH } });
    await run(process.execPath, ['--check', join(folder, 'app/server.mjs')]);
  });
});

describe('the root folder of both images', () => {
  it('has Node with its libraries, the user, names, and nothing else', async () => {
    const folder = join(scratchFolder(), 'root');
    await run('sh', [join(root, 'manifests/node-root.sh'), folder], { env: { PATH } });
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
    const known = new Set(['node', 'passwd', 'group', 'nsswitch.conf', 'ca-certificates.crt']);
    for (const name of files) assert.ok(known.has(name) || /^(lib|ld-)[\w+-]+\.so/.test(name), name);
    assert.ok(files.includes('node') && files.some((name) => name.startsWith('ld-linux')), files.join());
    assert.match(readFileSync(join(folder, 'etc/passwd'), 'utf8'), /^slimfaas:x:65532:65532:/m);
    assert.equal(
      (await run(join(folder, 'usr/local/bin/node'), ['--version'])).stdout.trim(),
      process.version,
    );
  });
});
