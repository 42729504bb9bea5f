/** Asynchronous jobs through the whole system, from zero and back. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { operatorHeaders } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';
import { send, startWorld, type World } from './world.ts';

interface JobView {
  readonly state: string;
  readonly tries: readonly { status?: number; pod: string }[];
  readonly result?: { status: number; body: string };
}

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200 });
});
after(() => world[Symbol.asyncDispose]());

/** The id. 503 says that JetStream is not there (yet: its streams are made by the scaler's leader): tried again. */
async function post(name: string, path: string, body?: string | Buffer): Promise<string> {
  const url = `${world.system.proxyUrl}/async-function/${name}${path}`;
  const accepted = async () => {
    const answer = await send(url, { method: 'POST', ...(body === undefined ? {} : { body }) });
    if (answer.status === 503) return undefined;
    assert.equal(answer.status, 201, answer.body);
    return answer;
  };
  const answer = await waitFor(accepted, { what: 'the job is accepted', timeoutMs: 15_000, intervalMs: 200 });
  return String(answer.headers['slimfaas-element-id']);
}

async function jobEnd(name: string, id: string, seconds = 60): Promise<JobView> {
  const url = `${world.system.proxyUrl}/async-function-job/${name}/${id}`;
  const answer = await send(url, { headers: { Prefer: `wait=${seconds}` } });
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body) as JobView;
}

test('a job posted at zero replicas wakes the function and is done; the function sleeps again after', async () => {
  await world.deploy({ name: 'worker', annotations: { TimeoutSecondBeforeSetReplicasMin: 3 } });
  assert.equal(world.pods('worker').length, 0);
  const id = await post('worker', '/echo/%20?x=1', 'the body');
  const view = await jobEnd('worker', id);
  assert.equal(view.state, 'done', JSON.stringify(view));
  assert.equal(view.result?.status, 200);
  const seen = JSON.parse(Buffer.from(view.result?.body ?? '', 'base64').toString()) as {
    method: string;
    path: string;
    headers: string[];
    body: string;
  };
  assert.deepEqual([seen.method, seen.path, seen.body], ['POST', '/echo/%20?x=1', 'the body']);
  assert.equal(seen.headers[seen.headers.indexOf('SlimFaas-Element-Id') + 1], id);
  await world.waitForReplicas('worker', 0, 30_000);
});

test('a job that runs longer than the idle time keeps its function awake', async () => {
  await world.deploy({ name: 'long', annotations: { TimeoutSecondBeforeSetReplicasMin: 1 } });
  const record = world.recordReplicas('long');
  const id = await post('long', '/slow/4000');
  assert.equal((await jobEnd('long', id)).state, 'done');
  assert.deepEqual(record.seen.slice(0, 2), [0, 1], `replicas were ${record.seen.join(' → ')}`);
  await world.waitForReplicas('long', 0, 30_000);
  record.stop();
});

test('jobs and calls together never exceed the limit over all pods', async () => {
  await world.deploy({
    name: 'shared',
    annotations: { NumberParallelRequest: 2, NumberParallelRequestPerPod: 2, ReplicasAtStart: 1 },
  });
  const ids = await Promise.all(Array.from({ length: 10 }, () => post('shared', '/work/100')));
  const calls = await Promise.all(Array.from({ length: 10 }, () => world.work('shared', 100)));
  const jobs = await Promise.all(
    ids.map(async (id) => {
      const { result } = await jobEnd('shared', id);
      return JSON.parse(Buffer.from(result?.body ?? '', 'base64').toString()) as { running: number };
    }),
  );
  for (const { running } of [...calls, ...jobs]) assert.ok(running <= 2, `${running} ran at once`);
});

test('the queue is in the scaler’s metrics, and empty in the end', async () => {
  await world.deploy({ name: 'counted' });
  await jobEnd('counted', await post('counted', '/hello/x'));
  const pods = world.system.api
    .list('pods', { namespace: 'slimfaas' })
    .filter((pod) => pod.metadata.labels?.['app.kubernetes.io/component'] === 'scaler');
  const headers = operatorHeaders(world.system);
  await waitFor(
    async () => {
      const texts = await Promise.all(
        pods.map(async (pod) =>
          (await fetch(`http://${pod['status'].podIP}:5001/metrics`, { headers })).text(),
        ),
      );
      const lines = texts.join('\n').split('\n');
      return lines.some((line) =>
        /^slimfaas_function_queue_ready_items\{.*function="counted".*\} 0$/.test(line),
      );
    },
    { what: 'the metric says 0', timeoutMs: 15_000 },
  );
});
