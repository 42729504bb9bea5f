/** The kubelet's pure parts, as tables. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Deadline } from '../../../packages/local-cluster/kubelet/container/deadline.ts';
import {
  expandVariables,
  rewritePaths,
} from '../../../packages/local-cluster/kubelet/container/expansion.ts';
import { imageName } from '../../../packages/local-cluster/kubelet/container/images.ts';
import { LogBuffer } from '../../../packages/local-cluster/kubelet/container/logs.ts';
import { resolvePort } from '../../../packages/local-cluster/kubelet/pods/pod-spec.ts';
import {
  isRestarted,
  RestartBackoff,
} from '../../../packages/local-cluster/kubelet/container/restart-backoff.ts';

describe('$(VAR)', () => {
  const known = { A: '1', B: '$(A)', EMPTY: '' };
  for (const [text, expected] of [
    ['$(A)', '1'],
    ['x$(A)y$(A)', 'x1y1'],
    ['$(B)', '$(A)'], // what is put in is not looked at again
    ['$(EMPTY)', ''],
    ['$(C)', '$(C)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$A ${A} $', '$A ${A} $'],
    ['$(toString)', '$(toString)'],
    ['$(A', '$(A'],
  ] as const) {
    test(text, () => assert.equal(expandVariables(text, known), expected));
  }
});

describe('mount paths', () => {
  const mounts = [
    { mountPath: '/data', hostPath: '/h/1' },
    { mountPath: '/data/in/', hostPath: '/h/2' },
    { mountPath: '/h', hostPath: '/x' },
  ];
  for (const [text, expected] of [
    ['/data', '/h/1'],
    ['/data/a/b', '/h/1/a/b'],
    ['/data/in/c', '/h/2/c'],
    ['/database', '/database'],
    ['--dir=/data', '--dir=/h/1'],
    ['/a/data', '/a/data'],
    ['cat "/data/x" > /data/in/y; ls /data', 'cat "/h/1/x" > /h/2/y; ls /h/1'],
    ['http://host/data', 'http://host/data'],
    ['/data:/h', '/h/1:/x'],
    ['no path', 'no path'],
  ] as const) {
    test(text, () => assert.equal(rewritePaths(text, mounts), expected));
  }
});

test('image names', () => {
  const table = {
    nats: 'nats',
    'nats:2.10-alpine': 'nats',
    'registry:5000/team/app': 'app',
    'registry:5000/team/app:1.2@sha256:00ff': 'app',
  };
  for (const [image, name] of Object.entries(table)) assert.equal(imageName(image), name, image);
});

test('ports by number, by name, by a number in quotes', () => {
  const container = { name: 'c', image: 'i', ports: [{ name: 'web', containerPort: 80 }] };
  assert.equal(resolvePort(81, container), 81);
  assert.equal(resolvePort('web', container), 80);
  assert.equal(resolvePort('82', container), 82);
  assert.throws(() => resolvePort('none', container), /container c has no port named none/);
});

test('who runs again', () => {
  for (const [kind, policy, code, expected] of [
    ['main', 'Always', 0, true],
    ['main', 'Always', 1, true],
    ['main', 'OnFailure', 0, false],
    ['main', 'OnFailure', 1, true],
    ['main', 'Never', 1, false],
    ['init', 'Always', 0, false],
    ['init', 'Always', 1, true],
    ['init', 'Never', 1, false],
    ['sidecar', 'Never', 0, true],
    ['sidecar', 'Never', 137, true],
  ] as const) {
    assert.equal(isRestarted(kind, policy, code), expected, `${kind} ${policy} ${code}`);
  }
});

test('restart delays: none, 10 s, doubling to 5 min, forgotten after a run of more than 10 min', () => {
  let now = 0;
  const backoff = new RestartBackoff(10_000, () => now);
  const restart = (runMs: number) => {
    now += runMs;
    backoff.ended();
    const delayMs = backoff.nextDelayMs();
    now += delayMs;
    return delayMs / 1000;
  };
  assert.deepEqual(
    Array.from({ length: 8 }, () => restart(0)),
    [0, 10, 20, 40, 80, 160, 300, 300],
  );
  assert.equal(backoff.text, '5m0s');
  assert.equal(restart(601_000), 0);
  assert.equal(restart(0), 10);
  assert.equal(backoff.text, '10s');
});

test('pull delays double until a pull succeeds', () => {
  const backoff = new RestartBackoff(10, () => 0);
  assert.deepEqual([backoff.pullFailed(), backoff.pullFailed(), backoff.pullFailed()], [10, 20, 40]);
  backoff.pulled();
  assert.equal(backoff.pullFailed(), 10);
});

test('a deadline comes nearer, never farther', async () => {
  const deadline = new Deadline(600_000);
  deadline.shorten(700_000);
  assert.ok(deadline.leftMs <= 600_000);
  deadline.shorten(1);
  await deadline.passed;
  assert.equal(deadline.leftMs, 0);
});

describe('log buffer', () => {
  const never = new AbortController().signal;
  const all = async (log: LogBuffer, options: Partial<Parameters<LogBuffer['read']>[0]> = {}) => {
    const lines: string[] = [];
    for await (const line of log.read({ tailLines: undefined, follow: false, signal: never, ...options }))
      lines.push(line.toString().trimEnd());
    return lines;
  };

  test('keeps the last 5,000 lines', async () => {
    const log = new LogBuffer();
    for (let i = 0; i < 20_000; i++) log.push(String(i));
    const lines = await all(log);
    assert.equal(lines.length, 5_000);
    assert.equal(lines.at(-1), '19999');
    assert.deepEqual(await all(log, { tailLines: 2 }), ['19998', '19999']);
    assert.deepEqual(await all(log, { tailLines: 0 }), []);
  });

  test('a follower gets what comes, until the end of the run', async () => {
    const log = new LogBuffer();
    log.push('before');
    const following = all(log, { follow: true });
    await new Promise(setImmediate);
    log.push('after');
    log.end();
    assert.deepEqual(await following, ['before', 'after']);
    assert.deepEqual(await all(log, { follow: true }), ['before', 'after'], 'nothing more can come');
  });

  test('a follower that leaves is let go', async () => {
    const leaving = new AbortController();
    const following = all(new LogBuffer(), { follow: true, signal: leaving.signal });
    await new Promise(setImmediate);
    leaving.abort();
    assert.deepEqual(await following, []);
  });
});
