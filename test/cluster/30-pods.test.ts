/** Pods of every shape: what else is in them, when they are ready, and what their namespace allows. */
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import { createAuthority, issueCertificate } from '../../webhook/certificates/x509.ts';
import { waitFor } from '../helpers/wait.ts';
import type { KubeObject } from './harness/clients.ts';
import { appContainer } from './harness/functions.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const { settings } = world.context;

interface Hello {
  readonly pod: string;
  readonly startedAt: number;
  readonly now: number;
}

/** A call from zero; fails on any status but 200. */
async function wake({ name }: Deployed): Promise<Hello> {
  const answer = await world.call(name);
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body) as Hello;
}

const LATE_MS = 3_000;
const late = { httpGet: { path: `/after/${LATE_MS}`, port: 5000 }, periodSeconds: 1, failureThreshold: 30 };

describe('no call before Kubernetes would call the pod ready', { concurrency: 4 }, () => {
  it('a startup probe', async () => {
    await using fn = await world.deploy({ name: 'startup-probe', container: { startupProbe: late } });
    const { startedAt, now } = await wake(fn);
    assert.ok(now - startedAt >= LATE_MS, `answered ${now - startedAt} ms after its start`);
  });

  it('a readiness probe that passes late', async () => {
    await using fn = await world.deploy({ name: 'late-probe', container: { readinessProbe: late } });
    const { startedAt, now } = await wake(fn);
    assert.ok(now - startedAt >= LATE_MS, `answered ${now - startedAt} ms after its start`);
  });

  it('the readiness of a second container', async () => {
    const probe = { readinessProbe: { ...late, httpGet: { ...late.httpGet, port: 5001 } } };
    const second = appContainer(settings, { name: 'second', port: 5001, container: probe }, 'second');
    await using fn = await world.deploy({ name: 'second-container', containers: [second] });
    const { startedAt, now } = await wake(fn);
    assert.ok(now - startedAt >= LATE_MS - 500, `answered ${now - startedAt} ms after its start`);
  });

  it('a readiness gate', async () => {
    const conditionType = 'example.com/gate';
    await using fn = await world.deploy({ name: 'gate', pod: { readinessGates: [{ conditionType }] } });
    let isOpen = false;
    const answer = world.call(fn.name).then(({ status }) => ({ status, isOpen }));
    await until(async () => (await fn.pods()).some(areContainersReady), 'its containers are ready');
    isOpen = true;
    const [pod] = await fn.pods();
    const path = `/api/v1/namespaces/${world.namespace}/pods/${pod?.metadata.name}/status`;
    const conditions = [{ type: conditionType, status: 'True' }];
    await world.send('PATCH', path, { status: { conditions } }, 'application/strategic-merge-patch+json');
    assert.deepEqual(await answer, { status: 200, isOpen: true });
  });

  it('a readiness gate that nobody sets is named to the caller', async () => {
    const readinessGates = [{ conditionType: 'example.com/never' }];
    const annotations = { 'slimfaas.dev/cold-start-timeout': '15' };
    await using fn = await world.deploy({ name: 'gate-never', pod: { readinessGates }, annotations });
    const { status, body } = await world.call(fn.name);
    assert.equal(status, 504, body);
    assert.match(body, /readiness gate example\.com\/never, which nobody has set/);
  });

  it('an exec probe', async () => {
    const command = ['node', '-e', `process.exit(require('fs').existsSync('/tmp/ready') ? 0 : 1)`];
    const container = { readinessProbe: { exec: { command }, periodSeconds: 1, timeoutSeconds: 5 } };
    await using fn = await world.deploy({ name: 'exec-probe', container });
    const answer = world.call(fn.name).then(({ status }) => status);
    await fn.waitForReplicas(1);
    await until(async () => (await fn.pods()).some(isAppRunning), 'its app runs');
    const [name] = (await fn.pods()).map(({ metadata }) => metadata.name);
    const script = `require('fs').writeFileSync('/tmp/ready', '')`;
    const where = ['exec', '-n', world.namespace, String(name), '-c', 'app', '--'];
    await world.kubectl([...where, 'node', '-e', script]);
    assert.equal(await answer, 200);
  });
});

describe('pods of many parts', { concurrency: 4 }, () => {
  it('init containers, and a native sidecar of the user', async () => {
    const once = { ...appContainer(settings, { name: 'init' }, 'init'), command: ['node', '-e', '0'] };
    const native = appContainer(settings, { name: 'native', port: 5001 }, 'native');
    const initContainers = [
      { ...once, readinessProbe: undefined },
      { ...native, restartPolicy: 'Always' },
    ];
    await using fn = await world.deploy({ name: 'init-containers', pod: { initContainers } });
    await wake(fn);
    await fn.waitForReady(1);
  });

  it('an app that ends comes back, and its pod takes calls again', async () => {
    await using fn = await world.deploy({ name: 'ends' });
    const { pod, startedAt } = await wake(fn);
    await world.call(fn.name, '/exit', { method: 'POST' });
    const again = await waitFor(
      async () => {
        const answer = await world.call(fn.name);
        const hello = answer.status === 200 ? (JSON.parse(answer.body) as Hello) : undefined;
        return hello && hello.startedAt > startedAt ? hello : undefined;
      },
      { what: 'the app is back', timeoutMs: 60_000, intervalMs: 200 },
    );
    assert.equal(again.pod, pod, 'the same pod');
  });
});

it('an app that speaks HTTPS is called over TLS; its sidecar knows the proxies by name and by address', async () => {
  const validity = { nowMs: Date.now(), validMs: 3_600_000 };
  const { certificate, key } = await issueCertificate(
    await createAuthority(validity),
    ['x.example'],
    validity,
  );
  const script = `require('https').createServer({ cert: process.env.CERT, key: process.env.KEY }, (req, res) => {
    req.resume().on('end', () => res.end(JSON.stringify({ isTls: req.socket.encrypted, method: req.method })));
  }).listen(8443);`;
  const env = Object.entries({ CERT: certificate, KEY: key }).map(([name, value]) => ({ name, value }));
  const container = {
    command: ['node', '-e', script],
    env,
    ports: [{ name: 'https', containerPort: 8443 }],
    readinessProbe: { httpGet: { path: '/', port: 'https', scheme: 'HTTPS' }, periodSeconds: 1 },
  };
  await using fn = await world.deploy({ name: 'https-app', container });
  for (const method of ['GET', 'POST']) {
    const { status, body } = await world.call(fn.name, '/x', { method });
    assert.equal(status, 200, body);
    assert.deepEqual(JSON.parse(body), { isTls: true, method });
  }
  const [pod] = await fn.pods();
  const containers = pod?.['spec'].containers as { env: { name: string; value?: string }[] }[];
  const given = new Map(containers.flatMap((each) => each.env).map(({ name, value }) => [name, value]));
  assert.match(given.get('SLIMFAAS_PROXY') ?? '', /^http:\/\/slimfaas-proxy\..+\.svc:5000$/);
  assert.notEqual(isIP(given.get('SLIMFAAS_PROXY_ADDRESS') ?? ''), 0);
});

describe('policies of namespaces', { concurrency: 3 }, () => {
  it('Pod Security restricted', async () => {
    const restricted = world.in(`${settings.prefix}-restricted`);
    await using fn = await restricted.deploy({ name: 'strict' });
    const answer = await restricted.call(fn.name);
    assert.equal(answer.status, 200, answer.body);
  });

  it('a LimitRange with defaults', async () => {
    const limited = world.in(`${settings.prefix}-limits`);
    const limits = [
      {
        type: 'Container',
        default: { cpu: '500m', memory: '128Mi' },
        defaultRequest: { cpu: '10m', memory: '32Mi' },
      },
    ];
    await world.apply({
      apiVersion: 'v1',
      kind: 'LimitRange',
      metadata: { name: 'limits', namespace: limited.namespace },
      spec: { limits },
    });
    await using fn = await limited.deploy({ name: 'limited' });
    const answer = await limited.call(fn.name);
    assert.equal(answer.status, 200, answer.body);
  });

  it('a full ResourceQuota: the caller is told; freed, it is answered', async () => {
    const full = world.in(`${settings.prefix}-quota`);
    const quota = (pods: number) => ({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'quota', namespace: full.namespace },
      spec: { hard: { pods } },
    });
    await world.apply(quota(0));
    const annotations = { 'slimfaas.dev/cold-start-timeout': 5 };
    await using fn = await full.deploy({ name: 'refused', annotations });
    const refused = await full.call(fn.name);
    assert.equal(refused.status, 504);
    assert.match(refused.body, /quota/);
    await world.apply(quota(10));
    await waitFor(async () => (await full.call(fn.name)).status === 200, {
      what: 'the function is answered once the quota has room',
      timeoutMs: 60_000,
      intervalMs: 100,
    });
  });
});

function areContainersReady({ status }: KubeObject): boolean {
  const conditions = (status?.conditions ?? []) as { type: string; status: string }[];
  return conditions.some((one) => one.type === 'ContainersReady' && one.status === 'True');
}

function isAppRunning({ status }: KubeObject): boolean {
  const containers = (status?.containerStatuses ?? []) as { name: string; state: object }[];
  return containers.some(({ name, state }) => name === 'app' && 'running' in state);
}
