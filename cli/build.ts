/**
 * Bundles everything into dist/: one entry, `dist/slimfaas.js`, and chunks that it loads when a command needs
 * them, so that a sidecar never parses what a scaler uses. The result runs with no node_modules beside it.
 */
import { cp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

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

const root = fileURLToPath(new URL('..', import.meta.url));

await rm(`${root}dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: { slimfaas: 'cli/main.ts' },
  outdir: 'dist',
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
  plugins: [lazyTls],
  logLevel: 'warning',
});
await cp(`${root}proxy/status-page`, `${root}dist/status-page`, { recursive: true });
