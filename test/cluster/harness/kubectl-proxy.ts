/** `kubectl proxy` for one run. */
import { spawn } from 'node:child_process';

export interface Api extends AsyncDisposable {
  readonly url: string;
}

export async function openApi([program = '', ...first]: readonly string[]): Promise<Api> {
  // Not ended by Ctrl-C at the terminal: the cleaning needs it.
  const child = spawn(program, [...first, 'proxy', '--port=0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.once('error', (error) =>
      reject(new Error(`cannot run ${program}; set CLUSTER_KUBECTL`, { cause: error })),
    );
    child.once('exit', (code) => reject(new Error(`kubectl proxy ended with ${code}: ${text}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const found = /127\.0\.0\.1:\d+/.exec(text);
      if (found) resolve(`http://${found[0]}`);
    });
  });
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill();
      await gone;
    },
  };
}
