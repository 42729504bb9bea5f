/** Bundles apps/ into single files, for a ConfigMap (1 MiB at most) that the demo's image runs. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const FOLDER = join(import.meta.dirname, '../apps');

export async function buildApps(target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  const files = await readdir(FOLDER);
  await build({
    entryPoints: files.map((file) => join(FOLDER, file)),
    outdir: target,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    external: ['bufferutil', 'utf-8-validate'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
}

export async function appsConfigMap(folder: string, namespace: string): Promise<object> {
  const files = await readdir(folder);
  const data = await Promise.all(
    files.map(async (file) => [file, await readFile(join(folder, file), 'utf8')] as const),
  );
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'apps', namespace },
    data: Object.fromEntries(data),
  };
}
