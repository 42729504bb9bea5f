/**
 * Bundles everything into dist/: one entry, `dist/slimfaas.js`, and chunks that it loads when a command needs
 * them. The sidecar is a bundle of its own, `dist/sidecar/`, because the number of files that Node loads is a large
 * part of its start. The result runs with no node_modules beside it.
 * dist/ is the npm package (`npm pack ./dist`). With --image it is what the image holds: no local cluster, no demo.
 */
import { cp, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { mergeChunks } from './merge-chunks.ts';
import manifest from '../package.json' with { type: 'json' };

/**
 * The NATS client loads TLS with itself; a sidecar that speaks plain NATS never uses it. Loaded when first asked for,
 * it costs such a sidecar nothing.
 */
const lazyTls: Plugin = {
  name: 'lazy-tls',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tls$/ }, ({ importer }) =>
      /[\\/]nats[\\/]/.test(importer) ? { path: 'tls', namespace: 'lazy' } : undefined,
    );
    onLoad({ filter: /^tls$/, namespace: 'lazy' }, () => ({
      contents: `module.exports = new Proxy({}, { get: (_, name) => require('node:tls')[name] });`,
      loader: 'js',
    }));
  },
};

/**
 * An ES import of one of Node's modules reads all of its exports once. Some are getters that load much more: `promises`
 * of node:fs, `webcrypto` of node:crypto, `WebSocket` of node:http (undici: 35 ms and 13 MB). Taken as an object, a
 * module's exports are read when they are used. A sidecar's idle memory fell from 66 to 58 MiB.
 */
const builtinsAsObjects: Plugin = {
  name: 'builtins-as-objects',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: 'builtin' } : undefined,
    );
    onLoad({ filter: /^node:/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  },
};

/**
 * Modules of Node that the sidecar loads when it first uses them, so its start does not pay for them. node:crypto costs 4 ms of CPU. The exports
 * are there by name, and load their module when they are read.
 */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup({ onLoad }) {
    onLoad({ filter: /^node:(crypto|module|v8)$/, namespace: 'builtin' }, ({ path }) => {
      const names = Object.keys(process.getBuiltinModule(path) as object);
      return {
        contents: `for (const name of ${JSON.stringify(names)})
          Object.defineProperty(exports, name, { enumerable: true, get: () => process.getBuiltinModule('${path}')[name] });`,
        loader: 'js',
      };
    });
  },
};

/** Where the command line asks for the sidecar, it gets the sidecar's own bundle. */
const sidecarApart: Plugin = {
  name: 'sidecar-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/sidecar\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './sidecar/sidecar.js', external: true } : undefined,
    );
  },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({ options: { image: { type: 'boolean', default: false } } });

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  // CommonJS libraries call require() for Node's own modules; an ES module has none unless it makes one.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
};

await rm(`${root}dist`, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: {
    slimfaas: values.image ? 'cli/image.ts' : 'cli/main.ts',
    // A thread has a file of its own; what it shares with the others lies in chunks.
    'query-worker': 'scaler/queries/query-worker.ts',
  },
  outdir: 'dist',
  plugins: [builtinsAsObjects, lazyTls, sidecarApart],
});
const { metafile } = await build({
  ...common,
  entryPoints: { sidecar: 'cli/sidecar.ts' },
  outdir: 'dist/sidecar',
  metafile: true,
  plugins: [lazyBuiltins, builtinsAsObjects, lazyTls],
});
await mergeChunks(`${root}dist/sidecar`, 'sidecar.js', common, metafile);
await cp(`${root}proxy/status/status-page`, `${root}dist/status-page`, { recursive: true });
await writeFile(`${root}dist/package.json`, packageText());
if (!values.image) await addWhatPeopleNeed();

/** The bundle's package.json: it has no dependency, and Node need not guess that its files are ES modules. */
function packageText(): string {
  const { name, version, description, license, repository, type, engines, keywords } = manifest;
  const bin = { slimfaas: 'slimfaas.js' };
  const own = { name, version, description, license, repository, keywords, type, engines, bin };
  return `${JSON.stringify(own, null, 2)}\n`;
}

/** For `slimfaas local`: install.yaml and the demo. For the npm package: README and licence. */
async function addWhatPeopleNeed(): Promise<void> {
  for (const file of ['install.yaml', 'demo/functions.yaml', 'demo/mysql.yaml'])
    await cp(`${root}manifests/${file}`, `${root}dist/${file}`);
  for (const file of ['README.md', 'LICENSE']) await cp(root + file, `${root}dist/${file}`);
  await build({
    entryPoints: [`${root}manifests/demo/server.ts`],
    outfile: `${root}dist/demo/server.js`,
    format: 'esm',
    platform: 'node',
    logLevel: 'warning',
  });
}
