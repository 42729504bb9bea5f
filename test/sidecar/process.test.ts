/** The sidecar as the webhook starts it: its own process, configured by environment, ended by SIGTERM. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isFasterThan, waitFor } from '../helpers/wait.ts';
import { App, APP_HOST } from './support/app.ts';
import { call } from './support/client.ts';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

interface SidecarProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Everything it wrote. */
  text(): string;
  port(): Promise<number>;
}

function start(env: Record<string, string>): SidecarProcess {
  const child = spawn(process.execPath, [MAIN, 'sidecar'], {
    env: {
      SLIMFAAS_HOST: '127.0.0.1',
      SLIMFAAS_PORT: '0',
      SLIMFAAS_ADMIN_PORT: '0',
      SLIMFAAS_APP_HOST: APP_HOST,
      SLIMFAAS_FUNCTION: 'fn',
      SLIMFAAS_POD_NAME: 'fn-1',
      SLIMFAAS_NATS: 'nats://127.0.0.1:9',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (text += String(data)));
  return {
    child,
    text: () => text,
    port: async () =>
      Number(
        await waitFor(() => /"port":(\d+).*"listening"/.exec(text)?.[1], {
          what: 'the sidecar listens',
          timeoutMs: 30_000,
        }),
      ),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

describe('sidecar: as a process', () => {
  it('behaviour 21: SIGTERM with calls running: each is answered, then it ends with 0', async () => {
    await using app = await new App((_req, res) => setTimeout(() => res.end('done'), 1_000)).listen();
    await using sidecar = start({ SLIMFAAS_APP_PORT: String(app.port), SLIMFAAS_DRAIN_SECONDS: '10' });
    const port = await sidecar.port();
    const calls = Array.from({ length: 4 }, () => call(port, '/'));
    await waitFor(() => app.running === 4, { what: 'four run' });
    sidecar.child.kill('SIGTERM');
    const answers = await Promise.all(calls);
    assert.deepEqual(
      answers.map((answer) => answer.body),
      ['done', 'done', 'done', 'done'],
    );
    assert.equal(await exitOf(sidecar.child), 0);
  });

  it('behaviour 22: SIGTERM when idle: gone within 2 s', async () => {
    await using app = await new App().listen();
    const measure = async (): Promise<number> => {
      await using sidecar = start({ SLIMFAAS_APP_PORT: String(app.port) });
      assert.equal((await call(await sidecar.port(), '/')).status, 200);
      const begun = performance.now();
      sidecar.child.kill('SIGTERM');
      assert.equal(await exitOf(sidecar.child), 0);
      return performance.now() - begun;
    };
    await isFasterThan(2_000, measure, { what: 'ending' });
  });

  it('a value that it cannot use ends it with 2 and names variable, value and what is allowed', async () => {
    await using sidecar = start({ SLIMFAAS_PARALLEL_PER_POD: '0' });
    assert.equal(await exitOf(sidecar.child), 2);
    assert.match(sidecar.text(), /SLIMFAAS_PARALLEL_PER_POD: "0" is not allowed; use a whole number ≥ 1/);
  });

  it('a port that is taken ends it with an error that names it', async () => {
    await using app = await new App().listen();
    await using sidecar = start({
      SLIMFAAS_HOST: APP_HOST,
      SLIMFAAS_PORT: String(app.port),
      SLIMFAAS_APP_PORT: String(app.port),
    });
    assert.equal(await exitOf(sidecar.child), 1);
    assert.match(sidecar.text(), new RegExp(`EADDRINUSE.*${app.port}`));
  });
});
