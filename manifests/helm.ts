/** Runs the real helm: hermetic, so that what a developer has configured for theirs changes nothing. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { kubeTool } from './kube-tools.ts';

export interface HelmResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export const CHART = join(import.meta.dirname, 'chart');

/** Never rejects because of what helm says; look at `code`. */
export async function helm(args: readonly string[], input = '', timeoutMs = 60_000): Promise<HelmResult> {
  const path = await kubeTool('helm');
  const home = join(import.meta.dirname, '../node_modules/.cache/slimfaas/helm');
  const env = { HOME: home, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  return new Promise((resolve) => {
    const options = { env, timeout: timeoutMs, maxBuffer: 16 * 1024 * 1024 };
    const child = execFile(path, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ stdout, stderr, code });
    });
    // A helm that refuses its arguments is gone before it reads.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** `helm template` with these values, as if for the namespace slimfaas. */
export function helmTemplate(values: object, ...flags: string[]): Promise<HelmResult> {
  const args = ['template', 'slimfaas', CHART, '--namespace', 'slimfaas', '--values', '-', ...flags];
  return helm(args, JSON.stringify(values));
}
