/** NATS that asks who one is: `auth: required` of the chart, in a release of its own. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SIDECAR_CONTAINER } from '../../common/function/names.ts';
import { send } from '../helpers/send.ts';
import { createClients, type KubeObject } from './harness/clients.ts';
import { installRelease, makeEmptyVolumes, removeRelease, type Release } from './harness/release.ts';
import { readContext } from './harness/settings.ts';
import { openWorldOf, until, type Deployed, type World, refusedOnNats } from './harness/world.ts';

const context = readContext();
const { settings } = context;
const clients = createClients(settings, context.apiUrl);
const release: Release = {
  system: `${settings.prefix}-identity`,
  functions: [`${settings.prefix}-identity-fn`],
};

/** What a container says to NATS that is in a pod of a function, where the NetworkPolicy lets it through. */
const ATTACK = `
const [host] = process.argv.slice(1);
const net = require('net'), tls = require('tls');
const plain = net.connect(4222, host);
plain.once('data', () => {
  plain.removeAllListeners();
  const socket = tls.connect({ socket: plain, rejectUnauthorized: false }, () =>
    socket.write('CONNECT {"verbose":true}\\r\\nSUB > 1\\r\\nPING\\r\\n'));
  let text = '';
  socket.on('data', (data) => (text += data));
  socket.on('error', () => undefined);
  socket.on('close', () => console.log(text));
});`;

describe('with auth: required', { concurrency: false }, () => {
  let world: World;
  let shop: Deployed;
  before(async () => {
    await makeEmptyVolumes(clients, context, release);
    await installRelease(clients, context, release, { values: { auth: 'required' } });
    world = await openWorldOf(clients, context, release);
    shop = await world.deploy({ name: 'shop' });
  });
  after(() => removeRelease(clients, release));

  const job = async (text = ''): Promise<void> => {
    const url = `${world.proxyUrl}/async-function/${shop.route}/hello`;
    const posted = await send(url, { method: 'POST', body: text });
    assert.equal(posted.status, 201, posted.body);
    const id = String(posted.headers['slimfaas-element-id']);
    const state = `${world.proxyUrl}/async-function-job/${shop.route}/${id}`;
    await until(async () => /"state":"done"/.test((await send(state)).body), 'the job is done', 60_000);
  };

  it('a function answers from zero, and a job runs from zero', async (t) => {
    const began = performance.now();
    const { status, body } = await world.call(shop.name);
    assert.equal(status, 200, body);
    t.diagnostic(`answered after ${Math.round(performance.now() - began)} ms`);
    await shop.patch({ spec: { replicas: 0 } });
    await job();
  });

  it('a large job and an event run too, and NATS refuses nothing of what we do', async () => {
    await using listener = await world.deploy({
      name: 'listener',
      annotations: { SubscribeEvents: 'Public:paid' },
    });
    await job('x'.repeat(600_000));
    const event = `${world.proxyUrl}/publish-event/paid.${world.namespace}/keep/paid`;
    const posted = await send(event, { method: 'POST' });
    assert.equal(posted.status, 204, posted.body);
    const isKept = async () => /paid/.test((await world.call(listener.name, '/kept')).body);
    await until(isKept, 'the event came', 60_000);
    assert.deepEqual(await refusedOnNats(world, release.system), []);
  });

  it('the token is in the sidecar alone', async () => {
    await shop.patch({ spec: { replicas: 1 } });
    await shop.waitForReady(1);
    const [pod] = await shop.pods();
    const containers = pod?.['spec'].containers as { name: string; volumeMounts?: { mountPath: string }[] }[];
    const holders = containers.filter(({ volumeMounts = [] }) =>
      volumeMounts.some(({ mountPath }) => mountPath.includes('slimfaas.dev/identity')),
    );
    assert.deepEqual(
      holders.map(({ name }) => name),
      [SIDECAR_CONTAINER],
    );
  });

  it('a container of a function hears nothing without an identity', async () => {
    const [pod] = await shop.pods();
    const nats = await clients.get(`/api/v1/namespaces/${release.system}/services/slimfaas-nats`);
    const app = ((pod?.['spec'].containers ?? []) as { name: string }[]).find(
      ({ name }) => name !== SIDECAR_CONTAINER,
    );
    const { name = '' } = pod?.metadata ?? {};
    const where = ['exec', '-n', world.namespace, name, '-c', app?.name ?? '', '--'];
    const said = await world.kubectl([...where, 'node', '-e', ATTACK, String(nats?.['spec'].clusterIP)]);
    assert.match(said, /Authorization Violation/);
    assert.doesNotMatch(said, /\+OK|MSG/);
  });

  it('the issuer goes away and NATS restarts: jobs run on with the identities there are', async () => {
    const path = `/apis/apps/v1/namespaces/${release.system}/deployments/slimfaas-webhook`;
    const before = (await clients.get(path))?.['spec'].replicas as number;
    const scale = (replicas: number) =>
      world.kubectl(['scale', '-n', release.system, 'deployment/slimfaas-webhook', `--replicas=${replicas}`]);
    await scale(0);
    try {
      const webhooks = async (): Promise<KubeObject[]> =>
        (await clients.list(`/api/v1/namespaces/${release.system}/pods`)).filter(({ metadata }) =>
          metadata.name.startsWith('slimfaas-webhook'),
        );
      await until(async () => (await webhooks()).length === 0, 'the issuer is away', 60_000);
      await world.kubectl(['delete', 'pod', '-n', release.system, 'slimfaas-nats-0']);
      await world.kubectl([
        'rollout',
        'status',
        '-n',
        release.system,
        'statefulset/slimfaas-nats',
        '--timeout=60s',
      ]);
      await until(
        async () => (await send(`${world.proxyUrl}/ready`)).status === 200,
        'the proxy is on NATS again',
        60_000,
      );
      await job();
      assert.deepEqual(await refusedOnNats(world, release.system), []);
    } finally {
      await scale(before);
    }
  });
});

describe('from off to permissive to required', { concurrency: false }, () => {
  const moving: Release = {
    system: `${settings.prefix}-moving`,
    functions: [`${settings.prefix}-moving-fn`],
  };
  after(() => removeRelease(clients, moving));

  it('a job that was stored without identities runs with them, and back', async () => {
    const install = (auth: string, verb: 'install' | 'upgrade') =>
      installRelease(clients, context, moving, { values: { auth }, verb });
    await makeEmptyVolumes(clients, context, moving);
    await install('off', 'install');
    const world = await openWorldOf(clients, context, moving);
    // Its one pod cannot start, so the job waits.
    const later = await world.deploy({ name: 'later', pod: { nodeSelector: { 'no.such/node': 'yes' } } });
    const post = () => send(`${world.proxyUrl}/async-function/${later.route}/hello`, { method: 'POST' });
    let posted = await post();
    // The scaler makes the streams when it leads.
    await until(
      async () => posted.status === 201 || (posted = await post()).status === 201,
      'the job is taken',
    );
    await install('permissive', 'upgrade');
    await install('required', 'upgrade');
    const there = await openWorldOf(clients, context, moving);
    await later.patch({ spec: { template: { spec: { nodeSelector: null } } } });
    const id = String(posted.headers['slimfaas-element-id']);
    const state = `${there.proxyUrl}/async-function-job/${later.route}/${id}`;
    await until(async () => /"state":"done"/.test((await send(state)).body), 'the job is done', 90_000);
    await install('off', 'upgrade');
    const back = await openWorldOf(clients, context, moving);
    const kept = `${back.proxyUrl}/async-function-job/${later.route}/${id}`;
    await until(async () => /"state":"done"/.test((await send(kept)).body), 'its result is there', 90_000);
  });
});
