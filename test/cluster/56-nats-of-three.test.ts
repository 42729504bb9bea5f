/**
 * `nats.replicas: 3`, in a release of its own: each server is killed once, under load of calls and jobs. No accepted job
 * is lost and no call fails, and jobs are accepted while a server is away.
 */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { send } from '../helpers/send.ts';
import { createClients, type KubeObject } from './harness/clients.ts';
import { installRelease, makeEmptyVolumes, removeRelease, type Release } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { openWorldOf, until, type Deployed, type World } from './harness/world.ts';

const context = readContext();
const { settings } = context;
const clients = createClients(settings, context.apiUrl);
const release: Release = { system: `${settings.prefix}-three`, functions: [`${settings.prefix}-three-fn`] };
const SERVERS = [0, 1, 2].map((index) => `slimfaas-nats-cluster-${index}`);
const STATEFUL_SET = `/apis/apps/v1/namespaces/${release.system}/statefulsets/slimfaas-nats-cluster`;

let world: World;
let worker: Deployed;

before(async () => {
  const claims = SERVERS.map((server) => `data-${server}`);
  await makeEmptyVolumes(clients, context, release, claims);
  await installRelease(clients, context, release, { values: { 'nats.replicas': 3 } });
  world = await openWorldOf(clients, context, release);
  const annotations = { NumberParallelRequestPerPod: 8, ReplicasMin: 2 };
  worker = await world.deploy({ name: 'worker', annotations, replicas: 2 });
  await worker.waitForReady(2);
});
after(() => removeRelease(clients, release));

const readyServers = async (): Promise<number> =>
  ((await clients.get(STATEFUL_SET))?.['status']?.readyReplicas as number | undefined) ?? 0;

/** Posts jobs one after the other until it is stopped; what was accepted, by its name, and how many were not. */
function postJobs() {
  const accepted = new Map<string, string>();
  const refused: string[] = [];
  const stopping = new AbortController();
  const done = (async () => {
    for (let count = 0; !stopping.signal.aborted; count += 1) {
      const url = `${world.proxyUrl}/async-function/${worker.route}/keep/job-${count}/0`;
      const { status, headers, body } = await send(url, { method: 'POST' });
      if (status === 201) accepted.set(`job-${count}`, String(headers['slimfaas-element-id']));
      else refused.push(`${status} ${body}`);
      await sleep(100);
    }
  })();
  return {
    accepted,
    refused,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

/** What both pods have kept. */
async function kept(): Promise<string[]> {
  const byPod = new Map<string, string[]>();
  await until(async () => {
    const { body } = await world.call(worker.name, '/kept');
    const { pod, kept: own } = JSON.parse(body) as { pod: string; kept: string[] };
    return byPod.set(pod, own).size === 2;
  }, 'each pod has said what it has run');
  return [...byPod.values()].flat();
}

/** What the server's monitoring says. */
async function monitored(server: string, path: string): Promise<KubeObject> {
  const answer = await clients.get(`/api/v1/namespaces/${release.system}/pods/${server}:8222/proxy/${path}`);
  return answer as KubeObject;
}

it('each stream is kept by all three servers, and they know each other by certificates', async () => {
  for (const server of SERVERS) {
    const { cluster } = await monitored(server, 'varz');
    assert.equal(cluster.tls_required && cluster.tls_verify, true, JSON.stringify(cluster));
    const { account_details: accounts } = await monitored(server, 'jsz?streams=true&config=true');
    const streams = (accounts as { stream_detail?: StreamDetail[] }[]).flatMap(
      ({ stream_detail: details = [] }) => details,
    );
    assert.ok(streams.length >= 6, `${server} has ${streams.length} streams`);
    assert.deepEqual([...new Set(streams.map(({ config }) => config.num_replicas))], [3]);
  }
});

interface StreamDetail {
  readonly config: { readonly num_replicas: number };
}

it('each server is killed in turn: no call fails, and no accepted job is lost', async (t) => {
  const caller = await world.caller();
  const order = { url: `${world.insideUrl}/function/${worker.route}/work/50`, callers: 4, paceMs: 60 };
  const load = await caller.load(order);
  const jobs = postJobs();
  try {
    for (const server of SERVERS) {
      await until(async () => (await readyServers()) === 3, 'all servers are ready', 120_000);
      const before = jobs.accepted.size;
      await clients.kubectl(['delete', 'pod', '-n', release.system, server, '--force', '--grace-period=0']);
      await until(async () => jobs.accepted.size > before + 10, `jobs are accepted without ${server}`);
    }
    await until(async () => (await readyServers()) === 3, 'all servers are ready', 120_000);
  } finally {
    await jobs.stop();
  }
  const { calls, failures, p99, max } = await load.stop();
  t.diagnostic(`${calls} calls, p99 ${p99} ms, max ${max} ms`);
  t.diagnostic(
    `${jobs.accepted.size} jobs accepted, ${jobs.refused.length} refused: ${jobs.refused[0] ?? ''}`,
  );
  assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${calls} calls failed`);
  for (const [name, id] of jobs.accepted) {
    const url = `${world.proxyUrl}/async-function-job/${worker.route}/${id}`;
    await until(async () => /"state":"done"/.test((await send(url)).body), `${name} is done`);
  }
  assert.deepEqual([...new Set(await kept())].toSorted(), [...jobs.accepted.keys()].toSorted());
});
