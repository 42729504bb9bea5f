/** `slimfaas jobs …` against a real proxy: the built-in help, what is printed, and refusals. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { App } from '../sidecar/support/app.ts';
import { policy } from '../sidecar/support/job-world.ts';
import { elementIdOf, startJobProxy } from '../proxy/support/job-proxy.ts';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

async function jobs(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, 'jobs', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await exit) as [number];
  return { stdout, stderr, code };
}

test('show, cancel, and dead list, show, replay, drop', async () => {
  await using t = await startJobProxy();
  await using app = await new App((_req, res) => void res.writeHead(500).end()).listen();
  await t.addFunction('fib');
  const proxy = ['--proxy-url', t.proxy.url];
  const admin = ['--admin-url', t.proxy.metricsUrl];
  const cancelled = elementIdOf(await t.post('fib', '/'));
  assert.equal((await jobs('cancel', 'fib', cancelled, ...proxy)).stdout, `${cancelled}: cancelled\n`);
  await t.sidecar('fib', app.port, { 'async-policy': policy([]) });
  const id = elementIdOf(await t.post('fib', '/why', { body: 'some text' }));
  const shown = await jobs('show', 'fib', id, '--wait', '10', ...proxy);
  assert.equal((JSON.parse(shown.stdout) as { state: string }).state, 'dead');

  assert.match(
    (await jobs('dead', 'list', ...admin)).stdout,
    /SEQ +DIED .*\n1 .* default\/fib +POST \/why +1 +status 500\n/,
  );
  assert.match((await jobs('dead', 'list', 'other', ...admin)).stdout, /no dead jobs/);
  const dead = JSON.parse((await jobs('dead', 'show', '1', ...admin)).stdout) as { text: string; id: string };
  assert.deepEqual([dead.text, dead.id], ['some text', id]);
  app.handler = (_req, res) => void res.end('a text of an answer');
  const replayed = await jobs('dead', 'replay', '1', ...admin);
  const [, again] = /^fib: put back as ([0-9a-f]+)\n$/.exec(replayed.stdout) ?? [];
  assert.ok(again, replayed.stderr);
  const done = JSON.parse((await jobs('show', 'fib', again, '--wait', '10', ...proxy)).stdout) as {
    state: string;
    result: { text: string };
  };
  assert.deepEqual([done.state, done.result.text], ['done', 'a text of an answer']);
  app.handler = (_req, res) => void res.writeHead(500).end();
  await t.ended('fib', elementIdOf(await t.post('fib', '/')), 'dead');
  assert.equal((await jobs('dead', 'drop', '2', ...admin)).stdout, '2: dropped\n');
  assert.match((await jobs('dead', 'list', ...admin)).stdout, /no dead jobs/);
});

test('what cannot be is refused in words: exit 2 for the command line, 1 for what the proxy says', async () => {
  const nobody = ['--admin-url', 'http://127.0.0.1:9'];
  const cases: [string[], number, RegExp][] = [
    [[], 2, /name a command: show, cancel or dead/],
    [['dead'], 2, /name a command: list, show, replay or drop/],
    [['dead', 'show', 'x', ...nobody], 2, /"x" is not the number of a dead job/],
    [['dead', 'list', '--admn-url', 'x'], 2, /unknown flag --admn-url; allowed: --admin-url/],
    [['dead', 'list', '--admin-url', 'nonsense'], 2, /"nonsense.*" is not a URL/],
    [['dead', 'list', ...nobody], 1, /no answer from http:\/\/127.0.0.1:9\/dead-jobs/],
  ];
  for (const [args, code, message] of cases) {
    const refused = await jobs(...args);
    assert.match(refused.stderr, message, args.join(' '));
    assert.equal(refused.code, code, args.join(' '));
  }
});
