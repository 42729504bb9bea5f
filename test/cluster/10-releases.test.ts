/** Installations of their own: two beside each other, an upgrade from the last release, and an end. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { parse } from 'yaml';
import { readFile } from 'node:fs/promises';
import { CHART } from '../../manifests/helm.ts';
import { send, type Answer } from '../helpers/send.ts';
import { createClients } from './harness/clients.ts';
import { openNats } from './harness/nats.ts';
import { installRelease, makeEmptyVolumes, removeRelease, type Release } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { openWorld, openWorldOf, until, type World } from './harness/world.ts';

const context = readContext();
const { settings } = context;
const clients = createClients(settings, context.apiUrl);
const releaseOf = (name: string): Release => ({
  system: `${settings.prefix}-${name}`,
  functions: [`${settings.prefix}-${name}-fn`],
});

/** What the whole cluster sees of a release. */
async function clusterWide(release: Release): Promise<string[]> {
  const manifest = await clients.tryHelm(['get', 'manifest', 'slimfaas', '--namespace', release.system]);
  const all = manifest.stdout
    .split(/^---$/m)
    .map((text) => parse(text) as { kind: string; metadata: Meta } | null);
  return all
    .filter((object) => object && object.metadata.namespace === undefined)
    .map((object) => `${object?.kind} ${object?.metadata.name}`);
}
interface Meta {
  readonly name: string;
  readonly namespace?: string;
}

async function answers(world: World, name: string): Promise<void> {
  const { status, body } = await world.call(name);
  assert.equal(status, 200, body);
}

/** How docs/operations.md begins an upgrade: from identities with every right, or from none. */
async function stepFrom(chart: string): Promise<object> {
  const { auth } = parse(await readFile(join(chart, 'values.yaml'), 'utf8')) as { auth?: string };
  return auth === 'required' ? { oldSidecars: true } : { auth: 'permissive' };
}

async function runsJob(world: World, route: string): Promise<void> {
  let answer: Answer | undefined;
  const post = () => send(`${world.proxyUrl}/async-function/${route}/hello`, { method: 'POST' });
  await until(async () => (answer = await post()).status === 201, 'the job is taken', 60_000);
  const state = `${world.proxyUrl}/async-function-job/${route}/${String(answer?.headers['slimfaas-element-id'])}`;
  await until(async () => /"state":"done"/.test((await send(state)).body), 'the job is done', 60_000);
}

describe('releases', { concurrency: 2 }, () => {
  it('two side by side, the second with a NATS of its own: neither touches the other’s', async () => {
    const first = await openWorld();
    const release = releaseOf('second');
    const { url } = await openNats(clients, context, release.system);
    after(() => removeRelease(clients, release));
    await installRelease(clients, context, release, { values: { 'nats.url': url } });
    const second = await openWorldOf(clients, context, release);
    await using a = await first.deploy({ name: 'shop' });
    await using b = await second.deploy({ name: 'shop' });
    await Promise.all([answers(first, a.name), answers(second, b.name)]);
    assert.equal((await send(`${first.proxyUrl}/function/${b.route}/hello`)).status, 404);
    const names = [...(await clusterWide(first.release)), ...(await clusterWide(release))];
    assert.equal(new Set(names).size, names.length, 'no name of the cluster twice');
    await removeRelease(clients, release);
    await a.patch({ spec: { replicas: 0 } });
    await answers(first, a.name);
  });

  const whyNot = settings.previousChart === '' ? 'CLUSTER_PREVIOUS_CHART names no chart' : false;
  it('an upgrade from the last release loses no call, nor does the rollback', { skip: whyNot }, async (t) => {
    const release = releaseOf('upgrade');
    after(() => removeRelease(clients, release));
    await makeEmptyVolumes(clients, context, release);
    await installRelease(clients, context, release, {
      chart: settings.previousChart,
      image: settings.previousImage,
    });
    const world = await openWorldOf(clients, context, release);
    await using fn = await world.deploy({ name: 'kept', annotations: { ReplicasMin: 1 }, replicas: 1 });
    await fn.waitForReady(1);
    const caller = await world.caller();
    const url = `${world.insideUrl}/function/${fn.route}/work/50`;
    const load = await caller.load({ url, callers: 2, paceMs: 100 });
    await installRelease(clients, context, release, {
      verb: 'upgrade',
      values: await stepFrom(settings.previousChart),
    });
    await runsJob(world, fn.route);
    await using fresh = await world.deploy({ name: 'fresh' });
    await answers(world, fresh.name);
    // A pod of the new version beside one of the old, in both directions.
    await world.kubectl(['rollout', 'restart', '-n', world.namespace, `deployment/${fn.name}`]);
    await world.kubectl(['rollout', 'status', '-n', world.namespace, `deployment/${fn.name}`]);
    const { version } = parse(await readFile(join(CHART, 'Chart.yaml'), 'utf8')) as { version: string };
    await world.helm([
      'rollback',
      'slimfaas',
      '1',
      '--namespace',
      release.system,
      '--wait',
      '--timeout',
      '120s',
    ]);
    await fresh.patch({ spec: { replicas: 0 } });
    await until(async () => (await fresh.pods()).length === 0, 'it sleeps');
    await answers(world, fresh.name);
    const seen = await load.stop();
    t.diagnostic(
      `to ${version} and back: ${seen.calls} calls, ${seen.failures.length} failed, max ${seen.max} ms`,
    );
    assert.deepEqual(seen.failures.slice(0, 3), []);
  });

  it('uninstalled with a function awake and one asleep: the awake one serves on, a new install takes both', async () => {
    const release = releaseOf('gone');
    after(() => removeRelease(clients, release));
    const { url } = await openNats(clients, context, release.system);
    const values = { 'nats.url': url };
    await installRelease(clients, context, release, { values });
    const world = await openWorldOf(clients, context, release);
    await using awake = await world.deploy({ name: 'awake', annotations: { ReplicasMin: 1 }, replicas: 1 });
    await using asleep = await world.deploy({ name: 'asleep' });
    await awake.waitForReady(1);
    await world.helm(['uninstall', 'slimfaas', '--namespace', release.system, '--wait']);
    const [pod] = await awake.pods();
    const caller = await world.caller();
    const straight = await caller.call(`http://${String(pod?.['status'].podIP)}:5000/hello`);
    assert.equal(straight.status, 200, 'Kubernetes keeps what runs');
    assert.equal(await asleep.replicas(), 0);
    // Without a webhook annotated pods start as they are: nothing of the release holds them up.
    await awake.patch({ spec: { replicas: 2 } });
    await awake.waitForReady(2);
    await installRelease(clients, context, release, { values });
    const again = await openWorldOf(clients, context, release);
    await until(async () => (await again.call(asleep.name)).status === 200, 'the one asleep is answered');
  });
});
