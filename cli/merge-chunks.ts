/**
 * One file for all that an entry loads at once. esbuild makes a chunk of whatever the entry shares with what is loaded
 * later. Node resolves, reads and links each chunk. This takes half a millisecond a file, before a pod can answer. Here
 * the entry and its chunks become one file, which exports what the chunks did. What is loaded later imports it from there.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild';

/** As esbuild writes it: `import{a as b,c}from"./chunk-ABC.js"`, and `import"./chunk-ABC.js"`. */
const IMPORT = /\b(import|export)(?:\{([^}]*)\}from)?"\.\/([^"]+)"/g;

/** Relative to the output folder, as in `./chunk-ABC.js`. */
type FileName = string;

/**
 * @param folder of the output, absolute; its files are rewritten
 * @param entry its name in there
 * @param options of the build that made it
 */
export async function mergeChunks(
  folder: string,
  entry: FileName,
  options: BuildOptions,
  { outputs }: Metafile,
): Promise<void> {
  const chunks = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
  const atOnce = staticImports(entry, chunks);
  const exportsOf = (name: FileName) => chunks.get(name)?.exports ?? [];
  const inEntry = (name: FileName, word: string) =>
    name === entry ? word : `${word}$${[...atOnce].indexOf(name)}`;
  const lines = [...atOnce].map((name) => {
    const words = exportsOf(name).map((word) => `${word} as ${inEntry(name, word)}`);
    return `export {${words.join()}} from './${name}';`;
  });
  await build({
    ...options,
    splitting: false,
    banner: {},
    stdin: { contents: lines.join('\n'), resolveDir: folder },
    plugins: [laterFilesStay(atOnce)],
    outfile: join(folder, entry),
    allowOverwrite: true,
  });
  for (const name of chunks.keys()) {
    const path = join(folder, name);
    if (!atOnce.has(name)) await writeFile(path, fromEntry(await readFile(path, 'utf8')));
    else if (name !== entry) await rm(path);
  }

  /** The code of a later file, with the entry for each chunk that has gone into it. */
  function fromEntry(code: string): string {
    const mended = code.replaceAll(IMPORT, (all, kind, words: string | undefined, name: string) => {
      if (!atOnce.has(name)) return all as string;
      const renamed = words?.split(',').map((word) => {
        const [taken = '', as = taken] = word.split(' as ');
        return `${inEntry(name, taken)} as ${as}`;
      });
      return `${kind}${renamed ? `{${renamed.join()}}from` : ''}"./${entry}"`;
    });
    for (const name of atOnce)
      if (name !== entry && mended.includes(`"./${name}"`)) throw new Error(`${name} is still imported`);
    return mended;
  }
}

/** The file and all that it imports other than by `import()`. */
function staticImports(
  name: FileName,
  chunks: ReadonlyMap<FileName, Metafile['outputs'][string]>,
  found = new Set<FileName>(),
): Set<FileName> {
  if (found.has(name)) return found;
  found.add(name);
  for (const { path, kind, external } of chunks.get(name)?.imports ?? [])
    if (kind === 'import-statement' && !external) staticImports(basename(path), chunks, found);
  return found;
}

/** What is loaded by `import()` is a file of its own already. */
function laterFilesStay(atOnce: ReadonlySet<FileName>): Plugin {
  return {
    name: 'later-files-stay',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\// }, ({ path }) =>
        atOnce.has(basename(path)) ? undefined : { path, external: true },
      );
    },
  };
}
