/** The sidecar's life in its pod: where it is, how it ends, who may drain it, and what it finds there. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { send } from '../helpers/send.ts';
import type { KubeObject } from './harness/clients.ts';
import { appPod } from './harness/functions.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const SIDECAR = 'slimfaas-sidecar';

const world = await openWorld();
const { settings } = world.context;

interface Hello {
  readonly pod: string;
  readonly startedAt: number;
  readonly now: number;
}

async function wake({ name }: Deployed): Promise<Hello> {
  const answer = await world.call(name);
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body) as Hello;
}

const namesOf = (containers: readonly { name: string }[] = []) => containers.map(({ name }) => name);

/** Runs a script in a container of a pod. */
function run(pod: string, container: string, script: string): Promise<string> {
  const where = ['exec', '-n', world.namespace, pod, '-c', container, '--'];
  return world.kubectl([...where, 'node', '-e', script]);
}

function restartsOf(pod: KubeObject | undefined, container: string): number {
  const statuses = (pod?.['status'].containerStatuses ?? []) as { name: string; restartCount: number }[];
  return statuses.find(({ name }) => name === container)?.restartCount ?? 0;
}

/** Why the container's former run ended, in Kubernetes' words. */
function lastEndOf(pod: KubeObject | undefined, container: string): string | undefined {
  const statuses = (pod?.['status'].containerStatuses ?? []) as {
    name: string;
    lastState?: { terminated?: { reason?: string } };
  }[];
  return statuses.find(({ name }) => name === container)?.lastState?.terminated?.reason;
}

describe('the sidecar in its pod', { concurrency: 3 }, () => {
  it('is an ordinary container after the app, which stays kubectl’s default', async () => {
    await using fn = await world.deploy({ name: 'ordinary' });
    const { pod } = await wake(fn);
    const [object] = await fn.pods();
    assert.deepEqual(namesOf(object?.['spec'].containers), ['app', SIDECAR]);
    const said = await world.tryKubectl(['exec', '-n', world.namespace, pod, '--', 'node', '-e', '0']);
    assert.match(said.stderr, /Defaulted container "app"/);
  });

  it('has the allocator of its image, and the app has not', async () => {
    await using fn = await world.deploy({ name: 'allocator' });
    const { pod } = await wake(fn);
    const print = `console.log(require('node:fs').readFileSync('/proc/1/maps', 'utf8').includes('jemalloc'))`;
    assert.equal((await run(pod, SIDECAR, print)).trim(), 'true');
    assert.equal((await run(pod, 'app', print)).trim(), 'false');
  });

  it('is a native one in a Job’s pod, which ends when its app has ended', async () => {
    const metadata = { name: 'once', namespace: world.namespace };
    const pod = appPod(settings, {
      name: 'once',
      container: { command: ['node', '-e', '0'], readinessProbe: undefined },
    });
    const template = {
      metadata: { annotations: { 'SlimFaas/Function': 'true' } },
      spec: { ...pod, restartPolicy: 'Never' },
    };
    await world.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { template } });
    const path = `/apis/batch/v1/namespaces/${world.namespace}/jobs/once`;
    await until(async () => (await world.get(path))?.['status']?.succeeded === 1, 'the Job is complete');
    const [made] = await world.list(
      `/api/v1/namespaces/${world.namespace}/pods?labelSelector=job-name%3Donce`,
    );
    assert.deepEqual(namesOf(made?.['spec'].initContainers), [SIDECAR]);
    await world.send('DELETE', `${path}?propagationPolicy=Background`);
  });

  it('that ends alone comes back, and its pod takes calls and jobs again', async () => {
    await using fn = await world.deploy({ name: 'alone', annotations: { NumberParallelRequest: 4 } });
    const { pod } = await wake(fn);
    await fn.waitForReady(1);
    await run(pod, SIDECAR, `process.kill(1, 'SIGTERM')`);
    await until(async () => restartsOf((await fn.pods())[0], SIDECAR) === 1, 'the sidecar has restarted');
    const answer = await world.call(fn.name);
    assert.equal(answer.status, 200, answer.body);
    const posted = await send(`${world.proxyUrl}/async-function/${fn.route}/keep/one`, { method: 'POST' });
    assert.equal(posted.status, 201, posted.body);
    await until(
      async () => (await world.call(fn.name, '/kept')).body.includes('one'),
      'the job has run in it',
    );
    assert.equal((await wake(fn)).pod, pod);
  });

  it('that is killed for its memory comes back alone, and its pod takes calls again', async () => {
    await using fn = await world.deploy({
      name: 'hungry',
      annotations: {
        NumberParallelRequestPerPod: 200,
        'slimfaas.dev/sidecar-resources': '{"limits":{"memory":"72Mi"}}',
      },
    });
    await wake(fn);
    await fn.waitForReady(1);
    // A body that may have to be sent again is kept while its call runs.
    const init = { method: 'POST', headers: { 'idempotency-key': '1' }, body: Buffer.alloc(1_000_000) };
    const calls = Array.from({ length: 80 }, () => world.call(fn.name, '/work/4000', init));
    await until(
      async () => lastEndOf((await fn.pods())[0], SIDECAR) === 'OOMKilled',
      'the sidecar was killed for its memory',
    );
    await Promise.allSettled(calls);
    await wake(fn);
    const [pod] = await fn.pods();
    assert.equal(restartsOf(pod, 'app'), 0);
    assert.equal((await fn.allPods()).length, 1, 'no other pod has taken its place');
  });

  it('is drained by its own hooks alone', async () => {
    await using fn = await world.deploy({ name: 'undrained' });
    const { pod } = await wake(fn);
    await fn.waitForReady(1); // a call is answered before Kubernetes reports the pod's address
    const [object] = await fn.pods();
    const url = `http://${object?.['status'].podIP}:15081/drain`;
    const script = `fetch('${url}').then(({ status }) => console.log(status))`;
    assert.equal((await run(pod, 'app', script)).trim(), '403');
    assert.equal((await wake(fn)).pod, pod, 'it takes calls as before');
  });

  it('finds no service account token, while the app has its own', async () => {
    await using fn = await world.deploy({
      name: 'tokenless',
      pod: { automountServiceAccountToken: true },
    });
    const { pod } = await wake(fn);
    const script = `console.log(require('fs').existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token'))`;
    assert.equal((await run(pod, 'app', script)).trim(), 'true');
    assert.equal((await run(pod, SIDECAR, script)).trim(), 'false');
  });

  it('says ready only after the app’s postStart hook', async () => {
    const postStart = { exec: { command: ['node', '-e', 'setTimeout(() => {}, 2500)'] } };
    await using fn = await world.deploy({ name: 'post-start', container: { lifecycle: { postStart } } });
    const { startedAt, now } = await wake(fn);
    assert.ok(now - startedAt >= 2_000, `answered ${now - startedAt} ms after the app’s start`);
  });

  it('keeps a Guaranteed pod Guaranteed', async () => {
    const equal = { cpu: '100m', memory: '128Mi' };
    const resources = { requests: equal, limits: equal };
    await using fn = await world.deploy({ name: 'guaranteed', container: { resources } });
    await wake(fn);
    assert.equal((await fn.pods())[0]?.['status'].qosClass, 'Guaranteed');
  });

  it('takes part in resources that the pod states as a whole', async (t) => {
    const container = { resources: { requests: { cpu: '20m', memory: '64Mi' } } };
    const whole = { requests: { cpu: '20m', memory: '64Mi' }, limits: { cpu: '1', memory: '256Mi' } };
    await using fn = await world.deploy({ name: 'whole', container, pod: { resources: whole } });
    const template = (await fn.read())['spec'].template;
    if (template.spec.resources === undefined) return t.skip('this cluster has no resources of whole pods');
    await wake(fn);
    const [pod] = await fn.pods();
    const own = pod?.['spec'].containers.find(({ name }: { name: string }) => name === SIDECAR);
    assert.deepEqual(own.resources, {});
  });

  it('whose CPU a LimitRange limits is warned of', async () => {
    const limited = `${settings.prefix}-limits`;
    await world.apply({
      apiVersion: 'v1',
      kind: 'LimitRange',
      metadata: { name: 'limits', namespace: limited },
      spec: {
        limits: [
          {
            type: 'Container',
            default: { cpu: '100m', memory: '256Mi' },
            defaultRequest: { cpu: '10m', memory: '32Mi' },
          },
        ],
      },
    });
    const annotations = { 'SlimFaas/Function': 'true' };
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'bare', namespace: limited, annotations },
    };
    const spec = {
      ...appPod(settings, { name: 'bare' }),
      volumes: [],
      containers: [{ name: 'a', image: 'a' }],
    };
    const input = JSON.stringify({ ...pod, spec });
    const { stderr } = await world.tryKubectl(['create', '--dry-run=server', '-f', '-'], { input });
    assert.match(stderr, /LimitRange of the namespace gives the sidecar a CPU limit of 100m/);
  });
});
