/** Probes against real listeners, and what their verdicts do. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { runProber } from '../../../packages/local-cluster/kubelet/container/prober.ts';
import { startTestCluster } from '../../helpers/cluster.ts';
import { waitFor } from '../../helpers/wait.ts';
import { createNotes, eventsAbout, idle, podOf, statusOf, untilPhase, untilReady } from '../support/pods.ts';

const cluster = await startTestCluster({ backoffBaseMs: 50 });
after(() => cluster.stop());
const { api } = cluster;

/** 200 for a path that is a file in DIR, else 503. */
const SERVER = `
  const { existsSync } = require('node:fs');
  require('node:http').createServer((req, res) => {
    res.statusCode = existsSync(process.env.DIR + req.url) ? 200 : 503;
    res.end();
  }).listen(8080, process.env.HOST);`;

function serving(dir: string, probes: object, ports = [{ name: 'web', containerPort: 8080 }]) {
  const env = [
    { name: 'DIR', value: dir },
    { name: 'HOST', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
  ];
  return { name: 'main', image: 'none:1', command: [process.execPath, '-e', SERVER], env, ports, ...probes };
}

function httpGet(path: string, rest: object = {}) {
  return { httpGet: { path, port: 'web' }, periodSeconds: 1, failureThreshold: 1, ...rest };
}

function restartsOf(pod: string): number {
  return statusOf(api, pod, 'main')?.restartCount ?? 0;
}

describe('probes', { concurrency: true }, () => {
  test('readiness follows the probe both ways, by a port name', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    await api.create(
      'pods',
      podOf('follows', { containers: [serving(dir, { readinessProbe: httpGet('/ready') })] }),
    );
    await waitFor(
      () =>
        eventsAbout(api, 'follows').some((e) =>
          e.includes('Readiness probe failed: HTTP probe failed with statuscode: 503'),
        ),
      { what: 'the refusal is an event' },
    );
    writeFileSync(join(dir, 'ready'), '');
    await untilReady(api, 'follows');
    rmSync(join(dir, 'ready'));
    await untilReady(api, 'follows', false);
    assert.equal(restartsOf('follows'), 0, 'readiness restarts nothing');
  });

  test('a failing liveness probe restarts the container after SIGTERM', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    writeFileSync(join(dir, 'alive'), '');
    const containers = [serving(dir, { livenessProbe: httpGet('/alive', { initialDelaySeconds: 1 }) })];
    await api.create('pods', podOf('alive', { containers }));
    await untilReady(api, 'alive');
    rmSync(join(dir, 'alive'));
    await waitFor(() => restartsOf('alive') >= 1, { what: 'it is restarted' });
    writeFileSync(join(dir, 'alive'), '');
    assert.equal(statusOf(api, 'alive', 'main').lastState.terminated.signal, 15);
    assert.ok(
      eventsAbout(api, 'alive').some(
        (e) => e === 'Killing: Container main failed liveness probe, will be restarted',
      ),
    );
  });

  test('until the startup probe has passed nothing else is probed, and the pod is not ready', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    const startupProbe = httpGet('/started', { failureThreshold: 100 });
    const livenessProbe = httpGet('/alive');
    await api.create('pods', podOf('slow', { containers: [serving(dir, { startupProbe, livenessProbe })] }));
    await waitFor(() => eventsAbout(api, 'slow').some((e) => e.includes('Startup probe failed')), {
      what: 'it is probed',
    });
    const { started, ready } = statusOf(api, 'slow', 'main');
    assert.deepEqual([started, ready], [false, false]);
    assert.ok(!eventsAbout(api, 'slow').some((e) => e.includes('Liveness')));
    writeFileSync(join(dir, 'alive'), '');
    writeFileSync(join(dir, 'started'), '');
    await untilReady(api, 'slow');
    assert.equal(statusOf(api, 'slow', 'main').started, true);
    assert.equal(restartsOf('slow'), 0);
  });

  test('a startup probe that fails for good restarts the container', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    await api.create(
      'pods',
      podOf('never', { containers: [serving(dir, { startupProbe: httpGet('/no') })] }),
    );
    await waitFor(() => restartsOf('never') >= 1, { what: 'it is restarted' });
    assert.ok(eventsAbout(api, 'never').some((e) => e.includes('failed startup probe, will be restarted')));
  });

  test('tcpSocket and exec', async (t) => {
    const { dir } = createNotes((release) => t.after(release));
    const tcp = { tcpSocket: { port: 8080 }, periodSeconds: 1 };
    const exec = {
      exec: { command: ['sh', '-c', 'test -d "$DIR/x" || { echo no x; exit 3; }'] },
      periodSeconds: 1,
    };
    await api.create('pods', podOf('tcp', { containers: [serving(dir, { readinessProbe: tcp })] }));
    await api.create('pods', podOf('exec', { containers: [serving(dir, { readinessProbe: exec })] }));
    await api.create('pods', podOf('deaf', { containers: [idle('main', { readinessProbe: tcp })] }));
    await untilReady(api, 'tcp');
    await waitFor(() => eventsAbout(api, 'exec').includes('Unhealthy: Readiness probe failed: no x'), {
      what: 'its output is the reason',
    });
    mkdirSync(join(dir, 'x'));
    await untilReady(api, 'exec');
    await waitFor(() => eventsAbout(api, 'deaf').some((e) => e.endsWith('connect: connection refused')), {
      what: 'a refusal',
    });
  });

  test('a fault on request: readiness comes late', async () => {
    const release = cluster.failures.slowReadiness(300);
    const begun = performance.now();
    await api.create('pods', podOf('late', { containers: [idle()] }));
    await untilPhase(api, 'late', 'Running');
    await untilReady(api, 'late');
    release();
    assert.ok(performance.now() - begun >= 300);
  });
});

test('a verdict needs its threshold of equal results in a row, and is told once', async () => {
  const results = [
    undefined,
    'no',
    undefined,
    undefined,
    'no',
    'no',
    undefined,
    'no',
    'no',
    undefined,
    undefined,
  ];
  const verdicts: [number, boolean][] = [];
  const stop = new AbortController();
  let n = 0;
  await runProber({
    probe: { periodSeconds: 0.001, successThreshold: 2, failureThreshold: 2 },
    startedAt: performance.now(),
    attempt: () => Promise.resolve(results[n++]),
    onVerdict: (isSuccess) => {
      verdicts.push([n, isSuccess]);
      if (n === results.length) stop.abort();
    },
    onFailedAttempt: () => undefined,
    signal: stop.signal,
  });
  assert.deepEqual(verdicts, [
    [4, true],
    [6, false],
    [11, true],
  ]);
});
