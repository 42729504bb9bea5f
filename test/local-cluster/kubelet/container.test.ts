/** One container by itself: a stop that meets its start at any point of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Container } from '../../../packages/local-cluster/kubelet/container/container.ts';
import { Deadline } from '../../../packages/local-cluster/kubelet/container/deadline.ts';
import type { PodRuntime } from '../../../packages/local-cluster/kubelet/pods/runtime.ts';
import { processesWith } from '../support/pods.ts';

const mark = `SLIMFAAS_TEST_CONTAINER=${process.pid}`;
const watchdog = { watch: () => undefined, forget: () => undefined };

function runtime(): PodRuntime {
  return {
    title: 'pod_default(uid)',
    restartPolicy: 'Always',
    graceSeconds: 1,
    backoffBaseMs: 10,
    configRetryMs: 10,
    now: Date.now,
    pullError: () => undefined,
    writeVolumes: () => undefined,
    handlerContext: (container) => ({
      container,
      podIp: '',
      env: {},
      cwd: '/',
      rewrite: (text) => text,
      watchdog,
    }),
    command: () => ({
      argv: ['env', mark, 'sleep', '1000'],
      env: { PATH: process.env['PATH'] ?? '' },
      cwd: '/',
      watchdog,
    }),
    readinessDelayMs: () => 0,
    deadline: (ms) => new Deadline(ms),
    event: () => undefined,
    onLine: () => undefined,
    changed: () => undefined,
  };
}

test('stopped at any point of its start it leaves no process, and the stop comes to its end', async () => {
  for (let turns = 0; turns < 20; turns++) {
    const container = new Container(
      { spec: { name: 'c', image: 'i' }, kind: 'main' },
      runtime(),
      'ContainerCreating',
    );
    const running = container.run();
    // Promise turns, because that is how far apart the steps of a start are.
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const deadline = new Deadline(5_000);
    await container.stop(deadline);
    assert.ok(deadline.leftMs > 0, `stopped after ${turns} turns it is not waited for until the deadline`);
    deadline.cancel();
    await running;
  }
  assert.deepEqual(processesWith(mark), []);
});
