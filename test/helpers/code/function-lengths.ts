/** How long the functions of the code are, as the linter counts them: with a bound of 0 it names each one. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const RULES = {
  categories: { correctness: 'off' },
  rules: { 'max-lines-per-function': ['error', { max: 0 }] },
};

interface Diagnostic {
  readonly code: string;
  readonly message: string;
}

/** @returns the lines of each function below the folders, ascending */
export async function functionLengths(root: string, folders: readonly string[]): Promise<number[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'function-lengths-'));
  try {
    const config = join(scratch, 'rules.json');
    await writeFile(config, JSON.stringify(RULES));
    const { diagnostics } = JSON.parse(await lint(root, ['-c', config, '-f', 'json', ...folders])) as {
      diagnostics: readonly Diagnostic[];
    };
    return diagnostics
      .filter(({ code }) => code.includes('max-lines-per-function'))
      .map(({ message }) => Number(/\((\d+)\)/.exec(message)?.[1]))
      .toSorted((a, b) => a - b);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** It ends with a code for what it finds, so its output counts and not its code. */
async function lint(cwd: string, args: readonly string[]): Promise<string> {
  const linter = join(cwd, 'node_modules/.bin/oxlint');
  const run = promisify(execFile)(linter, args, { cwd, maxBuffer: 64 * 2 ** 20 });
  const { stdout } = await run.catch((error: { stdout?: string }) => {
    if (!error.stdout) throw error;
    return { stdout: error.stdout };
  });
  return stdout;
}
