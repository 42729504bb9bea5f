/** Runs the real kubectl (manifests/kube-tools.ts says where it comes from). */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { kubeTool } from '../../manifests/kube-tools.ts';

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
  const path = await kubeTool('kubectl');
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
