/**
 * Who imports whom, for the architecture test. What is loaded at run time comes from esbuild, which drops types
 * as Node's type stripping does; what is merely mentioned, types included, from the text.
 */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { build } from 'esbuild';

export interface ImportGraph {
  /** Source file → what it loads at run time: files as paths from the root, packages by name. */
  readonly loads: ReadonlyMap<string, readonly LoadedImport[]>;
  /** Source file → every source file that it mentions, types included. */
  readonly mentions: ReadonlyMap<string, readonly string[]>;
}

export interface LoadedImport {
  readonly target: string;
  /** `import()`: loaded when that line runs, and perhaps never. */
  readonly isLazy: boolean;
}

export async function readImports(root: string, folders: readonly string[]): Promise<ImportGraph> {
  const files = (await Promise.all(folders.map((folder) => sourceFiles(root, folder)))).flat();
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: files,
    outdir: 'unused',
    bundle: true,
    write: false,
    metafile: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  });
  const loads = new Map<string, LoadedImport[]>();
  for (const file of files) {
    const imports = metafile.inputs[file]?.imports ?? [];
    loads.set(
      file,
      imports.map(({ path, kind }) => ({ target: packageName(path), isLazy: kind === 'dynamic-import' })),
    );
  }
  const mentions = new Map<string, string[]>();
  for (const file of files) mentions.set(file, await mentionedFiles(root, file));
  return { loads, mentions };
}

/** Everything that loading `start` can load in the end; with `eagerOnly` what it loads at once. */
export function reachable(graph: ImportGraph, start: string, eagerOnly = false): Set<string> {
  const seen = new Set<string>();
  const pending = [start];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const { target, isLazy } of graph.loads.get(file) ?? [])
      if (!(eagerOnly && isLazy)) pending.push(target);
  }
  return seen;
}

async function sourceFiles(root: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true });
  return entries.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name));
}

/** `a/b/c` of a package is the package `a`, `@s/a/c` is `@s/a`; Node's own keep their names. */
function packageName(path: string): string {
  if (path.endsWith('.ts') || path.endsWith('.json') || path.startsWith('node:')) return path;
  return path.split('/', path.startsWith('@') ? 2 : 1).join('/');
}

async function mentionedFiles(root: string, file: string): Promise<string[]> {
  const text = await readFile(join(root, file), 'utf8');
  const found = text.matchAll(/(?:from\s+|import\(\s*|import\s+)'(\.[^']*)'/g);
  return [...found].map(([, path]) => relative(root, resolve(root, dirname(file), path as string)));
}
